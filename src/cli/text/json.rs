//! Machine-readable output: every object begins with `"v":1` and its `"kind"`. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// The version of what is printed; a field never gets a second meaning within it.
pub const VERSION: u32 = 1;

/// One line: the value's fields after `v` and `kind`. A value that has no fields of its own stands under `value`.
pub fn line(kind: &str, value: &impl Serialize) -> String {
    let mut object = Map::new();
    object.insert("v".into(), VERSION.into());
    object.insert("kind".into(), kind.into());
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => {
            for (name, field) in fields {
                // Where a field has the name of ours, ours stays and the other is told under the object's kind.
                let name = if object.contains_key(&name) { format!("{}_{name}", kind.replace('.', "_")) } else { name };
                object.insert(name, field);
            }
        }
        Ok(other) => {
            object.insert("value".into(), other);
        }
        Err(why) => {
            object.insert("error".into(), why.to_string().into());
        }
    }
    Value::Object(object).to_string()
}
