//! A workflow as a picture: for a terminal, as Mermaid, as JSON. Pure text; descriptions are escaped.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::json;

use crate::model::{Step, StepId, StepWhat, Workflow};

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a terminal, 80 columns wide where names allow it.
    Ascii,
    Mermaid,
    Json,
}

/// The widest line of a picture, in characters.
const WIDTH: usize = 80;

/// The workflow's steps and what they need.
pub fn render(workflow: &Workflow, format: Format) -> String {
    match format {
        Format::Ascii => picture(workflow),
        Format::Mermaid => mermaid(workflow),
        Format::Json => json(workflow),
    }
}

/// `train ×6`, `◆ review`.
fn label(step: &Step) -> String {
    let gate = match (&step.what, &step.service) {
        (StepWhat::Approval(_), _) => "◆ ",
        (StepWhat::WaitFor(_), _) => "◷ ",
        (StepWhat::Run { .. }, Some(_)) => "≈ ",
        (StepWhat::Run { .. }, None) => "",
    };
    let lanes = if step.has_matrix { format!(" ×{}", step.lanes.len()) } else { String::new() };
    format!("{gate}{}{lanes}", step.id)
}

/// A text without control characters, at most `longest` characters long.
fn cut(text: &str, longest: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= longest {
        return clean;
    }
    let kept: String = clean.chars().take(longest.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Each step below the one of its needs that is deepest; other needs are named beside it.
struct Tree<'w> {
    steps: Vec<&'w Step>,
    index: IndexMap<&'w StepId, usize>,
    /// Of each step: those that hang below it, in the file's order, the largest part last.
    below: Vec<Vec<usize>>,
    roots: Vec<usize>,
    parent: Vec<Option<usize>>,
}

impl<'w> Tree<'w> {
    fn new(workflow: &'w Workflow) -> Self {
        let steps: Vec<&Step> = workflow.steps.values().collect();
        let index: IndexMap<&StepId, usize> = steps.iter().enumerate().map(|(n, step)| (&step.id, n)).collect();
        let needs: Vec<Vec<usize>> =
            steps.iter().map(|step| step.needs.iter().filter_map(|need| index.get(need).copied()).collect()).collect();
        let order = order(&needs);
        let mut depth = vec![0usize; steps.len()];
        let mut parent = vec![None; steps.len()];
        for &n in &order {
            depth[n] = needs[n].iter().map(|need| depth[*need] + 1).max().unwrap_or(0);
            parent[n] = needs[n].iter().copied().max_by_key(|need| depth[*need]);
        }
        let mut size = vec![1usize; steps.len()];
        let mut below = vec![vec![]; steps.len()];
        for &n in order.iter().rev() {
            if let Some(up) = parent[n] {
                size[up] += size[n];
            }
        }
        let roots = (0..steps.len()).filter(|n| parent[*n].is_none()).collect();
        for (n, up) in parent.iter().enumerate() {
            if let Some(up) = up {
                below[*up].push(n);
            }
        }
        for children in &mut below {
            // With the largest part going straight down, the picture is never wider than log2 of its steps.
            if let Some(main) = children.iter().copied().max_by_key(|n| size[*n]) {
                children.retain(|n| *n != main);
                children.push(main);
            }
        }
        Self { steps, index, below, roots, parent }
    }

    /// The needs of a step that its place in the picture does not show.
    fn others(&self, n: usize) -> Vec<&'w str> {
        let shown = self.parent[n];
        let needs = self.steps[n].needs.iter();
        needs.filter(|need| self.index.get(need).copied() != shown).map(StepId::as_str).collect()
    }
}

/// The steps so that each comes after its needs.
fn order(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut after = vec![vec![]; needs.len()];
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (n, needs) in needs.iter().enumerate() {
        for need in needs {
            after[*need].push(n);
        }
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|n| open[*n] == 0).collect();
    let mut next = 0;
    while let Some(&n) = order.get(next) {
        next += 1;
        for &later in &after[n] {
            open[later] -= 1;
            if open[later] == 0 {
                order.push(later);
            }
        }
    }
    order
}

/// A line of the picture that is still to be written.
struct Todo {
    step: usize,
    prefix: String,
    joint: &'static str,
}

fn picture(workflow: &Workflow) -> String {
    let tree = Tree::new(workflow);
    let lanes: usize = tree.steps.iter().map(|step| step.lanes.len()).sum();
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let mut text = format!("{}: {}", workflow.name, count(tree.steps.len(), "step"));
    if lanes > tree.steps.len() {
        let _ = write!(text, ", {}", count(lanes, "lane"));
    }
    text.push('\n');
    for root in &tree.roots {
        text.push('\n');
        let mut todo = vec![Todo { step: *root, prefix: String::new(), joint: "" }];
        while let Some(Todo { step, prefix, joint }) = todo.pop() {
            if joint == DOWN {
                let _ = writeln!(text, "{prefix}{DOWN}");
                line(&mut text, &tree, step, &prefix, "");
            } else {
                line(&mut text, &tree, step, &prefix, joint);
            }
            let straight = if joint == BRANCH { format!("{prefix}│   ") } else { prefix };
            let children = &tree.below[step];
            if let Some((main, branches)) = children.split_last() {
                todo.push(Todo { step: *main, prefix: straight.clone(), joint: DOWN });
                todo.extend(branches.iter().rev().map(|n| Todo { step: *n, prefix: straight.clone(), joint: BRANCH }));
            }
        }
    }
    text
}

const BRANCH: &str = "├─▶ ";
const DOWN: &str = "▼";

fn line(text: &mut String, tree: &Tree<'_>, n: usize, prefix: &str, joint: &str) {
    let step = tree.steps[n];
    let mut line = format!("{prefix}{joint}{}", label(step));
    let others = tree.others(n);
    if !others.is_empty() {
        let _ = write!(line, "  ◀─ also {}", others.join(", "));
    }
    if let Some(condition) = &step.condition {
        let _ = write!(line, "  if {condition}");
    }
    if let Some(description) = &step.description {
        let _ = write!(line, "  {description}");
    }
    // The name is never cut: it is what one came for.
    let name = prefix.chars().count() + joint.chars().count() + label(step).chars().count();
    text.push_str(cut(&line, WIDTH.max(name)).trim_end());
    text.push('\n');
}

fn mermaid(workflow: &Workflow) -> String {
    // A step may be called `end`, which Mermaid takes for its own: steps are numbered, their names are labels.
    let number: IndexMap<&StepId, usize> = workflow.steps.keys().zip(0..).collect();
    let mut text = String::from("flowchart TD\n");
    for (step, n) in workflow.steps.values().zip(0..) {
        let name = escaped(&label(step));
        let description = step.description.as_deref().map(|words| escaped(&cut(words, WIDTH))).unwrap_or_default();
        let words = if description.is_empty() { name } else { format!("{name}<br>{description}") };
        let _ = match step.what {
            StepWhat::Run { .. } if step.service.is_some() => writeln!(text, "    s{n}([\"{words}\"])"),
            StepWhat::Run { .. } => writeln!(text, "    s{n}[\"{words}\"]"),
            StepWhat::WaitFor(_) => writeln!(text, "    s{n}[/\"{words}\"/]"),
            StepWhat::Approval(_) => writeln!(text, "    s{n}{{{{\"{words}\"}}}}"),
        };
    }
    for (step, n) in workflow.steps.values().zip(0..) {
        let arrow = if step.condition.is_some() { "-. if .->" } else { "-->" };
        for need in step.needs.iter().filter_map(|need| number.get(need)) {
            let _ = writeln!(text, "    s{need} {arrow} s{n}");
        }
    }
    text
}

/// A text inside a quoted label of Mermaid, which knows entities without `&`.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | ';' | '\\' => {
                let _ = write!(safe, "#{};", u32::from(c));
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

fn json(workflow: &Workflow) -> String {
    let nodes: Vec<_> = workflow
        .steps
        .values()
        .map(|step| {
            json!({
                "id": step.id.as_str(),
                "kind": match step.what {
                    StepWhat::Run { .. } if step.service.is_some() => "service",
                    StepWhat::Run { .. } => "run",
                    StepWhat::Approval(_) => "approval",
                    StepWhat::WaitFor(_) => "wait_for",
                },
                "description": step.description,
                "lanes": step.lanes.iter().map(crate::model::LaneSpec::label).collect::<Vec<_>>(),
                "matrix": step.has_matrix,
                "if": step.condition,
            })
        })
        .collect();
    let edges: Vec<_> = workflow
        .steps
        .values()
        .flat_map(|step| step.needs.iter().map(|need| json!({ "from": need.as_str(), "to": step.id.as_str() })))
        .collect();
    let graph = json!({
        "workflow": workflow.name,
        "description": workflow.description,
        "nodes": nodes,
        "edges": edges,
    });
    format!("{graph:#}\n")
}
