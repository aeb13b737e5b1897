//! The lines between two layers. Sources that go to the same targets share one upright line, so that whoever follows a line
//! from left to right arrives only where it goes. Pure geometry.

use super::plan::{Point, Way};

/// Sources and targets that are all connected with each other, by their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Net {
    sources: Vec<usize>,
    targets: Vec<usize>,
    /// Which upright line it is, from the left.
    track: usize,
}

impl Net {
    fn top(&self) -> usize {
        self.sources.iter().chain(&self.targets).copied().min().unwrap_or(0)
    }

    fn bottom(&self) -> usize {
        self.sources.iter().chain(&self.targets).copied().max().unwrap_or(0)
    }

    /// It needs no upright line.
    fn straight(&self) -> bool {
        self.top() == self.bottom()
    }

    fn shares(&self, other: &Self) -> bool {
        self.targets.iter().any(|row| other.targets.contains(row))
    }

    /// This one has to stand left of the other, or a line could be read in two ways.
    fn before(&self, other: &Self) -> bool {
        let ends = self.sources.iter().any(|row| other.targets.contains(row));
        ends || (self.shares(other) && self.targets.len() > 1)
    }
}

/// The nets between a layer and the next; `None`: no order of their lines can be read in only one way.
pub(super) fn nets(points: &[Point], layer: usize) -> Option<Vec<Net>> {
    let mut nets: Vec<Net> = Vec::new();
    for (place, point) in points.iter().enumerate().filter(|(_, point)| point.layer == layer) {
        let goes_to = points.iter().filter(|other| other.from.contains(&place));
        let mut targets: Vec<usize> = goes_to.map(|other| other.at).collect();
        targets.sort_unstable();
        match nets.iter_mut().find(|net| net.targets == targets) {
            _ if targets.is_empty() => {}
            Some(net) => net.sources.push(point.at),
            None => nets.push(Net { sources: vec![point.at], targets, track: 0 }),
        }
    }
    nets.sort_by_key(Net::top);
    // A straight line runs through the whole gutter: whoever joins it there must go nowhere else.
    let joined = |net: &Net| nets.iter().any(|other| other != net && other.targets.len() > 1 && other.shares(net));
    if nets.iter().any(|net| net.straight() && joined(net)) {
        return None;
    }
    let mut open: Vec<usize> = (0..nets.len()).filter(|place| !nets[*place].straight()).collect();
    let mut track = 0;
    while !open.is_empty() {
        let free = |one: &usize| open.iter().all(|other| other == one || !nets[*other].before(&nets[*one]));
        let next = open.iter().copied().find(|one| free(one))?;
        open.retain(|one| *one != next);
        nets[next].track = track;
        track += 1;
    }
    Some(nets)
}

/// Cells of a gutter along its lines: one for each line across, and from left to right one at each side.
pub(super) fn width(nets: &[Net], way: Way) -> usize {
    let lines = nets.iter().filter(|net| !net.straight()).count().max(1);
    lines + 2 * side(way)
}

fn side(way: Way) -> usize {
    usize::from(way == Way::Right)
}

/// Two lines that have nothing to do with each other.
const CROSSING: char = '┼';
/// Lines that meet, from all four sides.
const KNOT: char = '╋';

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
const UP: u8 = 4;
const DOWN: u8 = 8;

/// What goes through a cell: of each net, in which directions.
#[derive(Debug, Clone, Default)]
struct Cell(Vec<(usize, u8)>);

impl Cell {
    fn add(&mut self, net: usize, bits: u8) {
        match self.0.iter_mut().find(|(one, _)| *one == net) {
            Some((_, all)) => *all |= bits,
            None => self.0.push((net, bits)),
        }
    }

    /// The letter that shows it; where lines go down, everything is turned.
    fn letter(&self, way: Way) -> char {
        let letter = self.upright();
        if way == Way::Right {
            return letter;
        }
        match letter {
            '─' => '│',
            '│' => '─',
            '┐' => '└',
            '└' => '┐',
            '├' => '┬',
            '┬' => '├',
            '┤' => '┴',
            '┴' => '┤',
            // Corners on the other diagonal, crossings and nothing stay what they are.
            same => same,
        }
    }

    fn upright(&self) -> char {
        let upright = |bits: u8| bits & (UP | DOWN) != 0;
        let level = |bits: u8| bits & (LEFT | RIGHT) != 0;
        let joined = self.0.iter().any(|(_, bits)| upright(*bits) && level(*bits));
        let crosses = self.0.iter().any(|(_, bits)| upright(*bits)) && self.0.iter().any(|(_, bits)| level(*bits));
        if crosses && !joined {
            return CROSSING;
        }
        match self.0.iter().fold(0, |all, (_, bits)| all | bits) {
            0 => ' ',
            bits if !upright(bits) => '─',
            bits if !level(bits) => '│',
            9 => '┐',
            10 => '┌',
            5 => '┘',
            6 => '└',
            14 => '├',
            13 => '┤',
            11 => '┬',
            7 => '┴',
            _ => KNOT,
        }
    }
}

/// Lines on a grid of cells, thought of as going from left to right.
pub(super) struct Canvas {
    /// By place across, then by place along.
    cells: Vec<Vec<Cell>>,
    way: Way,
}

impl Canvas {
    pub(super) fn new(along: usize, across: usize, way: Way) -> Self {
        Self { cells: vec![vec![Cell::default(); along]; across], way }
    }

    /// A line from a place to before another.
    pub(super) fn along(&mut self, at: usize, from: usize, to: usize) {
        self.level(at, (from, to), usize::MAX);
    }

    fn level(&mut self, at: usize, (from, to): (usize, usize), net: usize) {
        for place in from..to {
            self.cells[at][place].add(net, LEFT | RIGHT);
        }
    }

    /// All lines of a gutter that begins at `left`.
    pub(super) fn gutter(&mut self, nets: &[Net], left: usize) {
        let right = left + width(nets, self.way);
        for (number, net) in nets.iter().enumerate() {
            if net.straight() {
                self.level(net.top(), (left, right), number);
                continue;
            }
            let track = left + side(self.way) + net.track;
            for row in &net.sources {
                self.level(*row, (left, track), number);
                self.cells[*row][track].add(number, LEFT);
            }
            for row in &net.targets {
                self.cells[*row][track].add(number, RIGHT);
                self.level(*row, (track + 1, right), number);
            }
            for row in net.top()..=net.bottom() {
                let up = if row > net.top() { UP } else { 0 };
                let down = if row < net.bottom() { DOWN } else { 0 };
                self.cells[row][track].add(number, up | down);
            }
        }
    }

    /// As text, a line for each row of the screen.
    pub(super) fn lines(&self) -> Vec<String> {
        let across = self.cells.len();
        let along = self.cells.first().map_or(0, Vec::len);
        let letter = |at: usize, place: usize| self.cells[at][place].letter(self.way);
        let line = |letters: String| letters.trim_end().to_owned();
        match self.way {
            Way::Right => (0..across).map(|at| line((0..along).map(|place| letter(at, place)).collect())).collect(),
            Way::Down => (0..along).map(|place| line((0..across).map(|at| letter(at, place)).collect())).collect(),
        }
    }
}
