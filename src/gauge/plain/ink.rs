//! The colour of text, as its program asked for it. Pure, and of no drawing library.

/// A colour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Hue {
    /// The terminal's own.
    #[default]
    Usual,
    /// Of the terminal's palette; the first sixteen have names.
    Palette(u8),
    Rgb(u8, u8, u8),
}

/// How a character is drawn.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ink {
    pub fg: Hue,
    pub bg: Hue,
    /// [`Ink::BOLD`] and the others, together.
    pub marks: u8,
}

impl Ink {
    pub const BOLD: u8 = 1;
    pub const DIM: u8 = 2;
    pub const ITALIC: u8 = 4;
    pub const UNDERLINE: u8 = 8;
    pub const INVERSE: u8 = 16;

    /// Takes what an SGR sequence says. What nobody can see (hidden) and what moves (blinking) is not taken.
    pub(super) fn set(&mut self, parameters: &str) {
        let mut words = parameters.split(';');
        while let Some(word) = words.next() {
            let mut parts = word.split(':');
            let Some(code) = number(parts.next().unwrap_or_default()) else { return };
            match code {
                38 | 48 => {
                    let rest: Vec<&str> = parts.collect();
                    let hue = if rest.is_empty() { spread(&mut words) } else { packed(&rest) };
                    let Some(hue) = hue else { return };
                    *(if code == 38 { &mut self.fg } else { &mut self.bg }) = hue;
                }
                _ => self.mark(code, parts.next() == Some("0")),
            }
        }
    }

    fn mark(&mut self, code: u8, none: bool) {
        match code {
            0 => *self = Self::default(),
            1 => self.marks |= Self::BOLD,
            2 => self.marks |= Self::DIM,
            3 => self.marks |= Self::ITALIC,
            4 if none => self.marks &= !Self::UNDERLINE,
            4 | 21 => self.marks |= Self::UNDERLINE,
            7 => self.marks |= Self::INVERSE,
            22 => self.marks &= !(Self::BOLD | Self::DIM),
            23 => self.marks &= !Self::ITALIC,
            24 => self.marks &= !Self::UNDERLINE,
            27 => self.marks &= !Self::INVERSE,
            30..=37 => self.fg = Hue::Palette(code - 30),
            39 => self.fg = Hue::Usual,
            40..=47 => self.bg = Hue::Palette(code - 40),
            49 => self.bg = Hue::Usual,
            90..=97 => self.fg = Hue::Palette(code - 82),
            100..=107 => self.bg = Hue::Palette(code - 92),
            _ => {}
        }
    }
}

/// Nothing is zero, as everywhere in these sequences.
fn number(word: &str) -> Option<u8> {
    if word.is_empty() { Some(0) } else { word.parse().ok() }
}

/// `5;n` or `2;r;g;b`, as most programs write it.
fn spread<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Hue> {
    let mut next = || number(words.next()?);
    match next()? {
        5 => Some(Hue::Palette(next()?)),
        2 => Some(Hue::Rgb(next()?, next()?, next()?)),
        _ => None,
    }
}

/// `5:n`, `2:r:g:b` or `2::r:g:b`, as the standard has it.
fn packed(parts: &[&str]) -> Option<Hue> {
    match parts {
        ["5", n, ..] => Some(Hue::Palette(number(n)?)),
        ["2", r, g, b] | ["2", _, r, g, b, ..] => Some(Hue::Rgb(number(r)?, number(g)?, number(b)?)),
        _ => None,
    }
}
