//! Secrets as values: what can be one, and how it is kept out of whatever is shown or stored. Pure. Where they are kept is
//! `daemon::vault`'s, who asks for them `cli`'s.

mod mask;

pub use mask::Mask;

/// Shorter ones cannot be hidden: they are in every text.
pub const SHORTEST: usize = 4;
/// The kernel takes no variable above 128 KiB.
pub const LONGEST: usize = 64 * 1024;

/// Why a value cannot be a secret. Never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is empty")]
    Empty,
    #[error("it has fewer than {SHORTEST} characters: hidden wherever they stand, they would hide half of the output")]
    Short,
    #[error("it is longer than {} KiB", LONGEST / 1024)]
    Long,
    #[error("it holds a NUL character, which no variable can")]
    Nul,
}

/// Whether a value can be a secret.
///
/// # Errors
/// Why not.
pub fn check(value: &str) -> Result<(), Unfit> {
    let visible = value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).count();
    if visible == 0 {
        return Err(Unfit::Empty);
    }
    if visible < SHORTEST {
        return Err(Unfit::Short);
    }
    if value.len() > LONGEST {
        return Err(Unfit::Long);
    }
    if value.contains('\0') { Err(Unfit::Nul) } else { Ok(()) }
}

/// A value as a file or a command gives it: without the line ends at its end, as a shell's `$(…)` takes it.
pub fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}
