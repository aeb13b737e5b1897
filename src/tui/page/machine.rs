//! What the machine and each running step use. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::checkpoints::size;
use crate::faces::words::count;
use crate::tui::draw::{Frame, Pen, bar, row, width};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::wire::client::{MachineView, StepResources};

/// More than that of it is worth a look.
const MUCH: f64 = 0.9;

/// `1.2 cores, 410M, 3 processes`.
pub fn used_words(used: &StepResources) -> String {
    let cores = used.cpu_percent.map_or_else(String::new, |percent| format!("{:.1} cores, ", percent / 100.0));
    let processes = usize::try_from(used.processes).unwrap_or(usize::MAX);
    format!("{cores}{} of memory, {}", size(used.memory), count(processes, "process", "processes"))
}

/// A line with a bar.
struct Gauge {
    name: String,
    fraction: f64,
    words: String,
}

#[expect(clippy::cast_precision_loss, reason = "a picture of a few columns")]
fn part(used: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { used as f64 / of as f64 }
}

fn gauges(machine: &MachineView) -> Vec<Gauge> {
    let mut all = Vec::new();
    for (place, gpu) in machine.gpus.iter().enumerate() {
        let hot = gpu.celsius.map_or_else(String::new, |celsius| format!(" {celsius:.0}°C"));
        let memory = format!("{}/{}", size(gpu.memory_used), size(gpu.memory_total));
        all.push(Gauge {
            name: format!("GPU{place}"),
            fraction: f64::from(gpu.percent) / 100.0,
            words: format!("{:>3.0}% {memory}{hot}", gpu.percent),
        });
    }
    let cores = count(usize::try_from(machine.cpus).unwrap_or(0), "core", "cores");
    let percent = machine.cpu_percent.map_or_else(|| "  …".into(), |percent| format!("{percent:>3.0}%"));
    all.push(Gauge {
        name: "CPU".into(),
        fraction: f64::from(machine.cpu_percent.unwrap_or(0.0)) / 100.0,
        words: format!("{percent} of {cores}, load {:.1}", machine.load1),
    });
    let used = machine.memory_total.saturating_sub(machine.memory_available);
    all.push(Gauge {
        name: "RAM".into(),
        fraction: part(used, machine.memory_total),
        words: format!("{}/{}", size(used), size(machine.memory_total)),
    });
    let full = machine.disk_total.saturating_sub(machine.disk_free);
    all.push(Gauge {
        name: "disk".into(),
        fraction: part(full, machine.disk_total),
        words: format!("{} free", size(machine.disk_free)),
    });
    all
}

/// Draws the box.
pub fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let inner = Frame::light("Machine").draw(buf, theme, area);
    let Some(resources) = &model.resources else {
        Pen::new(buf, theme, row(inner, 0)).text(Role::Dim, "not measured");
        return;
    };
    let gauges = gauges(&resources.machine);
    let words = gauges.iter().map(|gauge| width(&gauge.words)).max().unwrap_or(0);
    let mut line = 0;
    for gauge in &gauges {
        let mut pen = Pen::new(buf, theme, row(inner, line));
        pen.field(Role::Plain, &gauge.name, 5);
        let columns = pen.left().saturating_sub(words + 1).min(24);
        let role = if gauge.fraction >= MUCH { Role::Attention } else { Role::Running };
        if columns >= 4 {
            pen.text(role, &bar(gauge.fraction, columns)).space(1);
        }
        pen.text(Role::Plain, &gauge.words);
        line += 1;
    }
    for used in &resources.steps {
        let mut pen = Pen::new(buf, theme, row(inner, line));
        let cpu = used.cpu_percent.map_or_else(|| "…".into(), |percent| format!("{percent:.0}%"));
        let words = format!("{cpu:>5} {:>6}", size(used.memory));
        let names = pen.left().saturating_sub(width(&words) + 1);
        pen.field(Role::Dim, &used.step_name, names).space(1).text(Role::Plain, &words);
        line += 1;
    }
}
