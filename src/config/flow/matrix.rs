//! `[steps.x.matrix]`: the lanes of a step.

use indexmap::IndexMap;

use crate::config::keys::nearest;
use crate::config::read::{Item, Reader, listed};
use crate::config::units::is_variable;
use crate::model::{Lane, LaneSpec, Step, Value};

/// The most lanes of one step, before `exclude`.
pub(super) const MOST_LANES: usize = 10_000;

/// Keys that are not axes.
const SETTINGS: [&str; 3] = ["exclude", "max_parallel", "fail_fast"];

/// Reads the matrix into the step: lanes in the file's order, the first key changing slowest.
pub(super) fn read<'a>(reader: &mut Reader<'a>, item: &Item<'a>, step: &mut Step) {
    let title = format!("[steps.{}.matrix]", step.id);
    let mut axes: IndexMap<&str, Vec<Value>> = IndexMap::new();
    let mut exclude = None;
    let mut complete = true;
    for (name, item) in reader.names(item, title.clone()) {
        match name {
            "exclude" => exclude = Some(item),
            "fail_fast" => step.fail_fast = reader.boolean(&item).unwrap_or(false),
            "max_parallel" => {
                let wanted = reader.integer(&item, 1..=i64::from(u32::MAX));
                step.lanes_at_once = wanted.and_then(|n| u32::try_from(n).ok());
            }
            _ => match axis(reader, name, &item) {
                Some(values) => drop(axes.insert(name, values)),
                None => complete = false,
            },
        }
    }
    step.has_matrix = true;
    if axes.is_empty() && complete {
        reader
            .found
            .error(&item.key_at, format!("{title} has no values: there would be no lane"))
            .hint("lr = [0.02, 0.1]");
        return;
    }
    let lanes = axes.values().try_fold(1usize, |product, values| product.checked_mul(values.len()));
    let Some(lanes) = lanes.filter(|lanes| *lanes <= MOST_LANES) else {
        let count = lanes.map_or_else(|| "far more".into(), |lanes| lanes.to_string());
        reader.found.error(&item.key_at, format!("{title} makes {count} lanes; a step may have {MOST_LANES}"));
        return;
    };
    let excluded = exclude.and_then(|item| exclusions(reader, &item, &axes, complete)).unwrap_or_default();
    let all = (0..lanes).map(|n| combination(&axes, n));
    let kept = all.filter(|values| !excluded.iter().any(|gone| gone.iter().all(|(k, v)| values.get(*k) == Some(v))));
    let numbered = kept.zip(0..).map(|(values, n)| LaneSpec { lane: Lane(n), values });
    let specs: Vec<LaneSpec> = numbered.collect();
    if specs.is_empty() {
        reader
            .found
            .error(&item.key_at, format!("{title} excludes everything: there would be no lane"))
            .hint("leave one combination");
        return;
    }
    step.lanes = specs;
}

fn axis<'a>(reader: &mut Reader<'a>, name: &str, item: &Item<'a>) -> Option<Vec<Value>> {
    if !item.value.is_array()
        && let Some(near) = nearest(name, SETTINGS.into_iter())
    {
        reader
            .found
            .error(&item.key_at, format!("{} must be a list of values", item.title))
            .hint(format!("did you mean `{near}`?"));
        return None;
    }
    if !is_variable(name) {
        reader
            .found
            .error(&item.key_at, format!("a key of a matrix cannot be called `{name}`"))
            .hint("a letter or _, then letters, digits and _");
    }
    let elements = reader.list(item)?;
    if elements.is_empty() {
        reader.found.error(&item.at, format!("{} is empty: there would be no lane", item.title));
        return None;
    }
    if elements.len() > MOST_LANES {
        let words = format!("{} has {} values; a step may have {MOST_LANES} lanes", item.title, elements.len());
        reader.found.error(&item.key_at, words);
        return None;
    }
    let mut values = Vec::with_capacity(elements.len());
    let mut seen = std::collections::HashSet::new();
    for element in &elements {
        let value = reader.scalar(element)?;
        // Two lanes with the same label could not be told apart.
        if !seen.insert(value.to_string()) {
            reader.found.error(&element.at, format!("{value} is twice in {}", item.title)).hint("remove one of them");
            return None;
        }
        values.push(value);
    }
    Some(values)
}

/// The `n`th combination.
fn combination(axes: &IndexMap<&str, Vec<Value>>, mut n: usize) -> IndexMap<String, Value> {
    let mut reversed: Vec<(String, Value)> = Vec::with_capacity(axes.len());
    for (name, values) in axes.iter().rev() {
        reversed.push(((*name).to_owned(), values[n % values.len()].clone()));
        n /= values.len();
    }
    reversed.into_iter().rev().collect()
}

type Exclusion<'a> = IndexMap<&'a str, Value>;

fn exclusions<'a>(
    reader: &mut Reader<'a>,
    item: &Item<'a>,
    axes: &IndexMap<&'a str, Vec<Value>>,
    complete: bool,
) -> Option<Vec<Exclusion<'a>>> {
    let mut all = Vec::new();
    for element in reader.list(item)? {
        let mut exclusion = IndexMap::new();
        for (name, item) in reader.names(&element, "an element of `exclude`".into()) {
            let Some(value) = reader.scalar(&item) else { continue };
            match axes.get(name) {
                Some(values) if values.contains(&value) => drop(exclusion.insert(name, value)),
                Some(values) => {
                    let alike = values.iter().any(|other| other.to_string() == value.to_string());
                    let hint = if alike {
                        "mind the quotes: \"1\" is a text and 1 a number"
                    } else {
                        "it would exclude nothing"
                    };
                    let shown = if let Value::Text(text) = &value { format!("\"{text}\"") } else { value.to_string() };
                    reader
                        .found
                        .error(&item.at, format!("{shown} is not a value of `{name}` in the matrix"))
                        .hint(hint);
                }
                None if !complete => {}
                None => {
                    let names: Vec<&str> = axes.keys().copied().collect();
                    let hint = match nearest(name, names.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("keys of the matrix are {}", listed(&names)),
                    };
                    reader.found.error(&item.key_at, format!("the matrix has no key `{name}`")).hint(hint);
                }
            }
        }
        if exclusion.is_empty() && element.value.as_table().is_some_and(toml::map::Map::is_empty) {
            reader.found.error(&element.at, "an empty exclusion excludes everything").hint("remove it");
        } else if !exclusion.is_empty() {
            all.push(exclusion);
        }
    }
    Some(all)
}
