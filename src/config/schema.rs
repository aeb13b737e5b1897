//! JSON Schema of the supported format, so that an editor says the same as `dogwatch validate`.

/// The schema as text.
pub fn schema() -> String {
    String::new()
}
