//! The graph: whoever follows its lines comes to what a step needs, and nowhere else.

use std::collections::BTreeSet;

use dogwatch::tui::page::graph::{Node, Picture, Way, picture};
use dogwatch::wire::client::StepState;
use unicode_width::UnicodeWidthStr;

use crate::support::dice::Dice;

fn nodes(all: &[(&str, &[usize])]) -> Vec<Node> {
    let node = |(label, needs): &(&str, &[usize])| Node {
        label: (*label).into(),
        state: StepState::Waiting,
        needs: needs.to_vec(),
    };
    all.iter().map(node).collect()
}

/// As it stands on the screen.
fn shown(picture: &Picture) -> String {
    let mut lines: Vec<Vec<char>> = picture.wires.iter().map(|line| line.chars().collect()).collect();
    for label in &picture.labels {
        let line = &mut lines[label.y];
        let text = format!("{} {}", label.text, label.state.shape());
        for (place, letter) in text.chars().enumerate() {
            if line.len() <= label.x + place {
                line.resize(label.x + place + 1, ' ');
            }
            line[label.x + place] = letter;
        }
    }
    lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_training_in_a_wide_and_in_a_narrow_place() {
    let all = nodes(&[
        ("prepare", &[]),
        ("lr=1e-4", &[0]),
        ("lr=3e-4", &[0]),
        ("lr=1e-3", &[0]),
        ("server", &[1, 2, 3]),
        ("evaluate", &[1, 2, 3, 4]),
        ("export", &[5]),
    ]);
    let wide = picture(&all, 80, 10).expect("it fits");
    insta::assert_snapshot!("graph-wide", shown(&wide));
    let narrow = picture(&all, 42, 17).expect("it fits");
    assert_eq!(narrow.way, Way::Down);
    insta::assert_snapshot!("graph-narrow", shown(&narrow));
}

#[test]
fn what_has_no_room_is_no_picture() {
    let broad: Vec<Node> =
        (0..40).map(|n| Node { label: format!("step-{n}"), state: StepState::Waiting, needs: vec![] }).collect();
    assert_eq!(picture(&broad, 42, 17), None);
    assert_eq!(picture(&[], 42, 17), None);
    assert_eq!(picture(&broad, 0, 0), None);
}

/// The letters by (along, across), whichever way the lines go; turned as if they went right.
struct Grid {
    cells: Vec<Vec<char>>,
}

impl Grid {
    fn new(picture: &Picture) -> Self {
        let rows: Vec<Vec<char>> = picture.wires.iter().map(|line| line.chars().collect()).collect();
        if picture.way == Way::Right {
            return Self { cells: rows };
        }
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let turned = |letter: char| match letter {
            '─' => '│',
            '│' => '─',
            '┐' => '└',
            '└' => '┐',
            '├' => '┬',
            '┬' => '├',
            '┤' => '┴',
            '┴' => '┤',
            same => same,
        };
        let column = |at: usize| rows.iter().map(|row| turned(row.get(at).copied().unwrap_or(' '))).collect();
        Self { cells: (0..longest).map(column).collect() }
    }

    fn at(&self, along: usize, across: usize) -> char {
        self.cells.get(across).and_then(|row| row.get(along)).copied().unwrap_or(' ')
    }

    /// Where one can go on from a cell that was entered from the left, from below or from above.
    fn on(&self, (along, across, from): (usize, usize, char)) -> Vec<(usize, usize, char)> {
        let letter = self.at(along, across);
        let (left, right, up, down) = match letter {
            '─' => (true, true, false, false),
            '│' => (false, false, true, true),
            '┌' => (false, true, false, true),
            '┐' => (true, false, false, true),
            '└' => (false, true, true, false),
            '┘' => (true, false, true, false),
            '├' => (false, true, true, true),
            '┤' => (true, false, true, true),
            '┬' => (true, true, false, true),
            '┴' => (true, true, true, false),
            '╋' => (true, true, true, true),
            // A crossing: straight on.
            '┼' => {
                return match from {
                    'l' => vec![(along + 1, across, 'l')],
                    'u' => vec![(along, across + 1, 'u')],
                    _ => across.checked_sub(1).map(|up| (along, up, 'd')).into_iter().collect(),
                };
            }
            _ => return Vec::new(),
        };
        let mut next = Vec::new();
        match from {
            'l' if !left => {}
            _ => {
                if right {
                    next.push((along + 1, across, 'l'));
                }
                if up && from != 'u' && across > 0 {
                    next.push((along, across - 1, 'd'));
                }
                if down && from != 'd' {
                    next.push((along, across + 1, 'u'));
                }
            }
        }
        next
    }
}

/// What is connected with what, by following the lines.
fn followed(picture: &Picture, nodes: &[Node]) -> BTreeSet<(String, String)> {
    let grid = Grid::new(picture);
    let spans: Vec<(usize, usize, std::ops::Range<usize>)> = picture
        .labels
        .iter()
        .map(|label| {
            let wide = label.text.width() + 2;
            match picture.way {
                Way::Right => (label.x - 1, label.x + wide, label.y..label.y + 1),
                Way::Down => (label.y, label.y + 1, label.x..label.x + wide),
            }
        })
        .collect();
    assert_eq!(picture.labels.len(), nodes.len());
    let mut found = BTreeSet::new();
    for (from, (_, exit, across)) in spans.iter().enumerate() {
        let mut open: Vec<(usize, usize, char)> = across.clone().map(|at| (*exit, at, 'l')).collect();
        let mut seen = BTreeSet::new();
        while let Some(here) = open.pop() {
            if !seen.insert(here) {
                continue;
            }
            let arrived = spans.iter().position(|(enter, _, across)| *enter == here.0 && across.contains(&here.1));
            match arrived.filter(|_| here.2 == 'l') {
                Some(to) => {
                    found.insert((picture.labels[from].text.clone(), picture.labels[to].text.clone()));
                }
                None => open.extend(grid.on(here)),
            }
        }
    }
    found
}

/// What needs what, without what is needed by way of another need anyway.
fn needed(nodes: &[Node]) -> BTreeSet<(String, String)> {
    fn reaches(nodes: &[Node], from: usize, to: usize) -> bool {
        from == to || nodes[from].needs.iter().any(|need| reaches(nodes, *need, to))
    }
    let mut all = BTreeSet::new();
    for node in nodes {
        for need in &node.needs {
            let other = node.needs.iter().any(|other| other != need && reaches(nodes, *other, *need));
            if !other {
                all.insert((nodes[*need].label.clone(), node.label.clone()));
            }
        }
    }
    all
}

#[test]
fn lines_lead_where_the_needs_are_and_nowhere_else() {
    let mut dice = Dice::new(7);
    let (mut right, mut down) = (0, 0);
    for _ in 0..4_000 {
        let count = 2 + dice.below(8);
        let mut all: Vec<Node> = Vec::new();
        for place in 0..count {
            let needs =
                (0..place).filter(|_| dice.below(3) == 0).map(|need| usize::try_from(need).expect("small")).collect();
            all.push(Node { label: format!("n{place}"), state: StepState::Waiting, needs });
        }
        for (columns, rows) in [(200, 60), (30, 60)] {
            let Some(drawn) = picture(&all, columns, rows) else {
                continue;
            };
            match drawn.way {
                Way::Right => right += 1,
                Way::Down => down += 1,
            }
            let (found, wanted) = (followed(&drawn, &all), needed(&all));
            assert_eq!(found, wanted, "{all:?}\n{}", shown(&drawn));
        }
    }
    assert!(right > 1_000 && down > 300, "{right} went right, {down} went down");
}
