//! What a run was begun with, as a file in its folder: all that cannot be found out from its attempts. Written once, read only
//! when the journal has to be rebuilt.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, RunRow, Unreadable, record};
use crate::model::{Created, RunId, Time, What, Workflow};

/// The file's name.
pub const FILE: &str = "run.json";
const VERSION_OF_FILE: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Frozen {
    v: u32,
    name: String,
    created_ms: i64,
    file: String,
    base: String,
    params: Vec<(String, String)>,
    /// The first event, as the journal stores it.
    event: String,
}

/// The text of the file.
pub fn freeze(row: &RunRow, created: &Created) -> Result<String, Error> {
    let event = record::write(&What::Created(Box::new(created.clone()))).map_err(Error::Unwritable)?;
    let frozen = Frozen {
        v: VERSION_OF_FILE,
        name: row.name.clone(),
        created_ms: row.created.as_ms(),
        file: row.file.clone(),
        base: row.base.clone(),
        params: row.params.clone(),
        event,
    };
    serde_json::to_string(&frozen).map_err(|error| Error::Unwritable(error.into()))
}

/// The run of such a file in `dir`, beside its frozen workflow `source`; its number is not in it.
pub fn thaw(
    text: &str,
    (id, dir, source): (RunId, &Path, String),
    workflow: &dyn Fn(&RunRow) -> Result<Workflow, String>,
) -> Result<(RunRow, Box<Created>), Unreadable> {
    let frozen: Frozen = serde_json::from_str(text)?;
    let row = RunRow {
        id,
        name: frozen.name,
        number: 0,
        created: Time::from_ms(frozen.created_ms),
        ended: None,
        result: None,
        dir: dir.to_string_lossy().into_owned(),
        source,
        file: frozen.file,
        base: frozen.base,
        params: frozen.params,
    };
    let What::Created(mut created) = record::read(&row.id, &frozen.event, &|| workflow(&row).map(Arc::new))? else {
        return Err(Unreadable::Workflow("its first event is none that begins a run".into()));
    };
    created.dir.clone_from(&row.dir);
    Ok((row, created))
}
