//! Colours by meaning. Owns the themes; everything can also be read without any colour, by shape and word.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::wire::client::StepState;

/// What something is, so that a theme can say how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Plain,
    Dim,
    Strong,
    Good,
    Running,
    Attention,
    Bad,
    Waiting,
    Selected,
    Border,
    Focus,
    Bar,
    Key,
    Attached,
}

/// The built-in themes.
const THEMES: [(&str, &str); 3] = [
    ("default", include_str!("../../config/themes/default.toml")),
    ("okabe-ito", include_str!("../../config/themes/okabe-ito.toml")),
    ("high-contrast", include_str!("../../config/themes/high-contrast.toml")),
];

/// A colour for each meaning, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Theme {
    good: Color,
    running: Color,
    attention: Color,
    bad: Color,
    waiting: Color,
    dim: Option<Color>,
    border: Option<Color>,
    focus: Color,
    key: Color,
    #[serde(skip)]
    plain: bool,
}

impl Theme {
    /// The names of all themes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        THEMES.iter().map(|(name, _)| *name)
    }

    /// A theme by its name.
    ///
    /// # Panics
    /// Never: a test parses the built-in themes.
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = THEMES.iter().find(|(one, _)| *one == name)?;
        Some(toml::from_str(text).expect("a test parses the built-in themes"))
    }

    /// Without any colour: only bold, dim and reversed.
    pub fn without_colour() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// Colours are not to be used.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// How it looks.
    pub fn style(&self, role: Role) -> Style {
        let base = Style::new();
        let fg = |color: Color| if self.plain { base } else { base.fg(color) };
        match role {
            Role::Plain => base,
            Role::Strong | Role::Bar => base.add_modifier(Modifier::BOLD),
            Role::Dim => self.dim.filter(|_| !self.plain).map_or(base.add_modifier(Modifier::DIM), fg),
            Role::Good => fg(self.good),
            Role::Running => fg(self.running),
            Role::Attention => fg(self.attention).add_modifier(Modifier::BOLD),
            Role::Bad => fg(self.bad).add_modifier(Modifier::BOLD),
            Role::Waiting => fg(self.waiting),
            Role::Selected => base.add_modifier(Modifier::REVERSED),
            Role::Border => self.border.filter(|_| !self.plain).map_or(base.add_modifier(Modifier::DIM), fg),
            Role::Focus => fg(self.focus).add_modifier(Modifier::BOLD),
            Role::Key => fg(self.key).add_modifier(Modifier::BOLD),
            Role::Attached => base.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    /// How a step's state looks.
    pub fn state(&self, state: StepState) -> Style {
        self.style(role_of(state))
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::named("default").expect("it is built in")
    }
}

/// What a step's state means.
pub fn role_of(state: StepState) -> Role {
    match state {
        StepState::Succeeded => Role::Good,
        StepState::Starting | StepState::Running | StepState::Ready | StepState::Probing | StepState::Verifying => {
            Role::Running
        }
        StepState::Asking | StepState::Unknown | StepState::Gate | StepState::Unreachable => Role::Attention,
        StepState::Failed => Role::Bad,
        StepState::Retrying | StepState::Waiting | StepState::Stopping => Role::Waiting,
        StepState::Skipped | StepState::Stopped => Role::Dim,
    }
}
