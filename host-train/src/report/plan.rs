//! The memory plan as a picture: buffers over the steps of an inference, by address.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{FONT, embed_font};
use crate::inspect::{Slot, Summary};

/// Most steps with a label below the axis.
const LABELS: usize = 40;
/// Rows of a picture that a name needs.
const NAME_HEIGHT: i32 = 13;
/// Columns of a picture that a character of a name needs, at most.
const NAME_WIDTH: i32 = 7;

/// Draws the plan of a blob into an `.svg` or a `.png` file.
///
/// # Errors
/// When the name ends otherwise or the file cannot be written.
pub fn memory_plan(path: &Path, summary: &Summary) -> Result<()> {
    embed_font()?;
    let steps = summary.layers.len() + 2;
    let size = ((40 * steps as u32 + 160).clamp(640, 2400), 560);
    let wrong = |why: &dyn std::fmt::Display| anyhow!("{}: cannot draw: {why}", path.display());
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => {
            let mut text = String::new();
            draw(SVGBackend::with_string(&mut text, size).into_drawing_area(), summary, steps)
                .map_err(|why| wrong(&why))?;
            write(path, text.as_bytes())
        }
        Some("png") => {
            let mut pixels = vec![255; (size.0 * size.1 * 3) as usize];
            let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
            draw(area, summary, steps).map_err(|why| wrong(&why))?;
            let picture = RgbImage::from_raw(size.0, size.1, pixels);
            let mut bytes = std::io::Cursor::new(Vec::new());
            let picture = picture.context("picture of another size")?;
            picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|why| wrong(&why))?;
            write(path, bytes.get_ref())
        }
        _ => bail!("{}: the plan is drawn as .svg or .png; give such a name", path.display()),
    }
}

/// Writes the file as a whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let whole = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    whole().with_context(|| {
        format!("{}: cannot be written; give a path in a writable folder", path.display())
    })
}

/// What is drawn of a buffer: inputs and outputs, scratch, all others.
fn colour(slot: &Slot, steps: usize) -> RGBColor {
    if slot.name.starts_with("scratch of") {
        RGBColor(170, 170, 170)
    } else if slot.first == 0 {
        RGBColor(90, 160, 90)
    } else if slot.last + 1 == steps {
        RGBColor(214, 120, 60)
    } else {
        RGBColor(90, 140, 200)
    }
}

/// `name`, cut to what `columns` of a picture hold; `None` when that is next to nothing.
fn fitted(name: &str, columns: i32) -> Option<String> {
    let room = (columns / NAME_WIDTH).max(0) as usize;
    let count = name.chars().count();
    if count <= room {
        return Some(name.to_string());
    }
    (room > 3).then(|| name.chars().take(room - 1).chain(['…']).collect())
}

type Failure = Box<dyn std::error::Error>;

fn draw<B: DrawingBackend>(
    area: DrawingArea<B, Shift>,
    summary: &Summary,
    steps: usize,
) -> Result<(), Failure>
where
    B::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    let top = summary.arena_bytes.max(16) as f64;
    // A stripped blob has no name.
    let name = if summary.name.is_empty() { "model" } else { &summary.name };
    let title = format!(
        "{name}: {} bytes of arena, {} in use at once at least",
        summary.arena_bytes, summary.arena_bound
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..steps as f64, 0.0..top * 1.04)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("step: 0 fills the inputs, i + 1 runs layer i, the last reads the outputs")
        .y_desc("address, bytes")
        .axis_desc_style((FONT, 15))
        .label_style((FONT, 13))
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(225, 225, 225))
        .x_labels(steps.min(LABELS) + 1)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for slot in &summary.plan {
        let corner = |step: usize, at: usize| (step as f64, at as f64);
        let corners =
            [corner(slot.first, slot.offset), corner(slot.last + 1, slot.offset + slot.bytes)];
        let fill = colour(slot, steps);
        chart.draw_series([
            Rectangle::new(corners, fill.mix(0.75).filled()),
            Rectangle::new(corners, BLACK.mix(0.6)),
        ])?;
        let [(left, bottom), (right, high)] = corners.map(|at| chart.backend_coord(&at));
        let name = fitted(&slot.name, right - left - 4);
        if let (Some(name), true) = (name, bottom - high >= NAME_HEIGHT) {
            let at = (left + 3, (bottom + high - NAME_HEIGHT) / 2);
            area.draw(&Text::new(name, at, (FONT, 12)))?;
        }
    }
    let bound = summary.arena_bound as f64;
    chart.draw_series([PathElement::new([(0.0, bound), (steps as f64, bound)], RED.mix(0.7))])?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn names_are_cut_to_their_room() {
        assert_eq!(fitted("conv", 40), Some("conv".into()));
        assert_eq!(fitted("a_long_name", 35), Some("a_lo…".into()));
        assert_eq!(fitted("a_long_name", 10), None);
    }
}
