//! Where things stand, by the size of the terminal: a list on tiny ones, two columns at 80x24, a sidebar from 100 columns,
//! everything from 140. Pure; used by drawing and by the mouse alike.

use ratatui::layout::Rect;

use crate::tui::model::{Model, Size, View};

/// Something that stands in a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Top,
    Hints,
    Steps,
    Graph,
    Waits,
    Journal,
    Checkpoints,
    Machine,
    /// The pane of the selected step, or the grid.
    Panes,
    /// A whole page: runs, inbox, journal.
    Page,
    /// Too small for anything else.
    List,
}

/// All rooms of a screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    pub rooms: Vec<(Room, Rect)>,
}

impl Layout {
    /// Where a room stands.
    pub fn of(&self, room: Room) -> Option<Rect> {
        self.rooms.iter().find(|(one, _)| *one == room).map(|(_, area)| *area)
    }

    /// What stands at a place of the screen.
    pub fn at(&self, x: u16, y: u16) -> Option<Room> {
        let inside = |area: &Rect| x >= area.x && x < area.right() && y >= area.y && y < area.bottom();
        self.rooms.iter().rev().find(|(_, area)| inside(area)).map(|(room, _)| *room)
    }
}

/// Below this only a list is shown.
pub(super) fn tiny(size: Size) -> bool {
    size.columns < 60 || size.rows < 15
}

/// Where everything stands now.
pub fn layout(model: &Model) -> Layout {
    let Size { columns, rows } = model.size;
    let whole = Rect::new(0, 0, columns, rows);
    if rows < 3 {
        return Layout { rooms: vec![(Room::List, whole)] };
    }
    let mut rooms =
        vec![(Room::Top, Rect { height: 1, ..whole }), (Room::Hints, Rect { y: rows - 1, height: 1, ..whole })];
    let body = Rect { y: 1, height: rows - 2, ..whole };
    if tiny(model.size) {
        rooms.push((small(model), body));
        return Layout { rooms };
    }
    if first(model) {
        rooms.push((Room::Page, body));
        return Layout { rooms };
    }
    match model.view {
        // Whoever types sees what is typed into, wherever that began, and what it said last.
        _ if model.typed_into().is_some() => rooms.push((Room::Panes, body)),
        View::Overview | View::Panes if model.zoomed => rooms.push((Room::Panes, body)),
        View::Overview => overview(&mut rooms, body),
        View::Panes => rooms.push((Room::Panes, body)),
        View::Checkpoints => {
            let side = if columns >= 100 { columns * 2 / 5 } else { columns };
            if side < columns {
                rooms.push((Room::Panes, Rect { width: columns - side, ..body }));
            }
            rooms.push((Room::Page, Rect { x: columns - side, width: side, ..body }));
        }
        View::Metrics | View::Runs | View::Journal | View::Inbox => rooms.push((Room::Page, body)),
    }
    Layout { rooms }
}

/// The first screen is shown: there is nothing else to show.
fn first(model: &Model) -> bool {
    matches!(model.view, View::Overview | View::Panes) && model.first()
}

/// What a tiny terminal shows.
fn small(model: &Model) -> Room {
    match model.view {
        _ if first(model) => Room::Page,
        _ if model.typed_into().is_some() => Room::Panes,
        View::Overview | View::Panes => {
            if model.zoomed {
                Room::Panes
            } else {
                Room::List
            }
        }
        View::Metrics | View::Checkpoints | View::Runs | View::Journal | View::Inbox => Room::Page,
    }
}

fn overview(rooms: &mut Vec<(Room, Rect)>, body: Rect) {
    let columns = body.width;
    if columns < 100 {
        let left = 34 + columns.saturating_sub(80) / 3;
        let waits = (body.height / 4).clamp(4, 8);
        rooms.push((Room::Steps, Rect { width: left, height: body.height - waits, ..body }));
        rooms.push((Room::Waits, Rect { width: left, y: body.bottom() - waits, height: waits, ..body }));
        rooms.push((Room::Panes, Rect { x: left, width: columns - left, ..body }));
        return;
    }
    if columns < 140 {
        let (left, side) = (38, 34);
        rooms.push((Room::Steps, Rect { width: left, ..body }));
        rooms.push((Room::Panes, Rect { x: left, width: columns - left - side, ..body }));
        sidebar(rooms, Rect { x: columns - side, width: side, ..body });
        return;
    }
    let (left, side) = (44, 44);
    let steps = (body.height / 2).max(10).min(body.height);
    let waits = (body.height / 5).max(5).min(body.height - steps);
    rooms.push((Room::Steps, Rect { width: left, height: steps, ..body }));
    rooms.push((Room::Waits, Rect { width: left, y: body.y + steps, height: waits, ..body }));
    let below = body.height - steps - waits;
    rooms.push((Room::Journal, Rect { width: left, y: body.y + steps + waits, height: below, ..body }));
    rooms.push((Room::Panes, Rect { x: left, width: columns - left - side, ..body }));
    let right = Rect { x: columns - side, width: side, ..body };
    let graph = if body.height >= 40 { body.height / 3 } else { 0 };
    if graph > 0 {
        rooms.push((Room::Graph, Rect { height: graph, ..right }));
    }
    let rest = Rect { y: right.y + graph, height: right.height - graph, ..right };
    let machine = rest.height / 2;
    rooms.push((Room::Checkpoints, Rect { height: rest.height - machine, ..rest }));
    rooms.push((Room::Machine, Rect { y: rest.bottom() - machine, height: machine, ..rest }));
}

fn sidebar(rooms: &mut Vec<(Room, Rect)>, area: Rect) {
    let third = area.height / 3;
    rooms.push((Room::Waits, Rect { height: third, ..area }));
    rooms.push((Room::Checkpoints, Rect { y: area.y + third, height: third, ..area }));
    rooms.push((Room::Machine, Rect { y: area.y + 2 * third, height: area.height - 2 * third, ..area }));
}
