//! What tests share: dice, random workflows, and a simulated world with a simulated daemon in virtual time.

pub(crate) mod audit;
pub(crate) mod cells;
pub(crate) mod daemon;
pub(crate) mod dice;
pub(crate) mod history;
pub(crate) mod hostile;
pub(crate) mod make;
pub(crate) mod outer;
pub(crate) mod pages;
pub(crate) mod patience;
pub(crate) mod rhythms;
pub(crate) mod screen_text;
pub(crate) mod shown;
pub(crate) mod source;
pub(crate) mod story;
pub(crate) mod trouble;
pub(crate) mod world;
