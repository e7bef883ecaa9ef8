//! Pictures: the loss over the epochs, and originals above reconstructions.
//! The font is embedded, so a machine without any draws the same.

mod plan;

use std::path::Path;
#[cfg(not(target_family = "wasm"))]
use std::sync::Once;

use anyhow::{Context, Result, anyhow, ensure};
use image::{Rgb, RgbImage};
use plotters::prelude::*;
#[cfg(not(target_family = "wasm"))]
use plotters::style::register_font;

pub use plan::memory_plan;

use crate::run_folder::History;

const FONT: &str = "sans-serif";
const TRAIN_COLOUR: RGBColor = RGBColor(31, 119, 180);
const TEST_COLOUR: RGBColor = RGBColor(214, 90, 30);

/// Plotters has no fonts of its own on wasm; only tests of the kernels run there.
#[cfg(target_family = "wasm")]
fn embed_font() -> Result<()> {
    Err(anyhow!("pictures cannot be drawn on wasm"))
}

#[cfg(not(target_family = "wasm"))]
fn embed_font() -> Result<()> {
    static REGISTER: Once = Once::new();
    let mut result = Ok(());
    REGISTER.call_once(|| {
        result = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
            .map_err(|_| anyhow!("the embedded font is damaged"));
    });
    result
}

/// Draws training and validation loss over the epochs; epoch 0 is the
/// validation loss of the initial weights.
///
/// # Errors
/// When the picture cannot be written.
pub fn loss_curve(path: &Path, history: &History) -> Result<()> {
    embed_font()?;
    let (width, height) = (800_u32, 500_u32);
    let mut pixels = vec![255; (width * height * 3) as usize];
    draw_loss(&mut pixels, (width, height), history)
        .map_err(|error| anyhow!("{}: cannot draw: {error}", path.display()))?;
    let picture = RgbImage::from_raw(width, height, pixels).context("picture of another size")?;
    save(&picture, path)
}

type Drawing<'a> = std::result::Result<(), Box<dyn std::error::Error + 'a>>;

fn draw_loss<'a>(pixels: &'a mut [u8], size: (u32, u32), history: &History) -> Drawing<'a> {
    let train: Vec<(f32, f32)> =
        (1_u16..).map(f32::from).zip(history.epochs.iter().map(|e| e.loss)).collect();
    let test: Vec<(f32, f32)> = (0_u16..)
        .map(f32::from)
        .zip(
            [history.initial_val_loss].into_iter().chain(history.epochs.iter().map(|e| e.val_loss)),
        )
        .collect();
    let values = || train.iter().chain(&test).map(|(_, loss)| *loss).filter(|l| l.is_finite());
    let (low, high) = (values().fold(f32::MAX, f32::min), values().fold(f32::MIN, f32::max));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = ((high - low) * 0.06).max(1e-3);
    let last = history.epochs.len().max(1) as f32;

    let area = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(18)
        .margin_right(30)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..last, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc("loss")
        .axis_desc_style((FONT, 20))
        .label_style((FONT, 16))
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(220, 220, 220))
        .x_labels(history.epochs.len().clamp(1, 10) + 1)
        .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x:.0}") } else { String::new() })
        .y_label_formatter(&|y| format!("{y:.3}"))
        .draw()?;
    for (points, label, colour) in
        [(&train, "training", TRAIN_COLOUR), (&test, "validation", TEST_COLOUR)]
    {
        let finite = || points.iter().copied().filter(|(_, loss)| loss.is_finite());
        chart
            .draw_series(LineSeries::new(finite(), colour.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
        chart.draw_series(finite().map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(12)
        .legend_area_size(32)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 18))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Draws images in two rows, originals above what a model made of them.
/// `originals` and `restored` hold as many images `[height, width, channels]`
/// (1 or 3 channels), one after the other, of values in [0, 1].
///
/// # Errors
/// When the two do not hold as many whole images, or the picture cannot be
/// written.
pub fn reconstructions(
    path: &Path,
    originals: &[f32],
    restored: &[f32],
    (height, width, channels): (usize, usize, usize),
) -> Result<()> {
    let image = height * width * channels;
    ensure!(
        image > 0
            && matches!(channels, 1 | 3)
            && !originals.is_empty()
            && originals.len() == restored.len()
            && originals.len().is_multiple_of(image),
        "{}: cannot draw {} and {} values as images of {height}×{width}×{channels}",
        path.display(),
        originals.len(),
        restored.len()
    );
    // Small images are enlarged, so that they can be looked at.
    let scale = (84 / height.max(width)).max(1);
    let gap = 6;
    let columns = originals.len() / image;
    let (cell_w, cell_h) = (width * scale + gap, height * scale + gap);
    let mut picture = RgbImage::from_pixel(
        u32::try_from(columns * cell_w + gap)?,
        u32::try_from(2 * cell_h + gap)?,
        Rgb([255; 3]),
    );
    for (row, values) in [originals, restored].into_iter().enumerate() {
        for (column, values) in values.chunks_exact(image).enumerate() {
            for (y, x) in (0..height * scale).flat_map(|y| (0..width * scale).map(move |x| (y, x)))
            {
                let at = ((y / scale) * width + x / scale) * channels;
                let byte =
                    |c: usize| (values[at + c % channels].clamp(0.0, 1.0) * 255.0).round() as u8;
                let (px, py) = (gap + column * cell_w + x, gap + row * cell_h + y);
                picture.put_pixel(px as u32, py as u32, Rgb([byte(0), byte(1), byte(2)]));
            }
        }
    }
    save(&picture, path)
}

fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    picture
        .save_with_format(path, image::ImageFormat::Png)
        .with_context(|| format!("{}: cannot write the picture", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::Epoch;

    #[test]
    fn curve_is_drawn_in_both_colours_with_labels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loss.png");
        let epochs = [(0.30, 0.12), (0.11, 0.09), (0.085, 0.08)].map(|(loss, val_loss)| Epoch {
            loss,
            val_loss,
            seconds: 1.0,
        });
        let history = History { epochs: epochs.to_vec(), initial_val_loss: 0.7 };
        loss_curve(&path, &history).unwrap();
        let picture = image::open(&path).unwrap().into_rgb8();
        let count = |colour: RGBColor| {
            picture.pixels().filter(|p| p.0 == [colour.0, colour.1, colour.2]).count()
        };
        assert!(count(TRAIN_COLOUR) > 200 && count(TEST_COLOUR) > 200);
        // The description of the x axis: dark pixels in the lowest band.
        let dark = (0..800).flat_map(|x| (465..495).map(move |y| (x, y)));
        assert!(dark.filter(|&(x, y)| picture.get_pixel(x, y).0[0] < 100).count() > 20);
        if let Some(keep) = std::env::var_os("MICROCONV_KEEP_PICTURES") {
            std::fs::copy(&path, Path::new(&keep).join("loss.png")).unwrap();
        }
    }

    #[test]
    fn a_run_that_diverged_is_drawn_too() {
        let dir = tempfile::tempdir().unwrap();
        let epoch = Epoch { loss: f32::NAN, val_loss: f32::INFINITY, seconds: 1.0 };
        let history = History { epochs: vec![epoch], initial_val_loss: f32::NAN };
        loss_curve(&dir.path().join("loss.png"), &history).unwrap();
    }

    #[test]
    fn reconstructions_show_both_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.png");
        reconstructions(&path, &[0.0, 1.0, 0.0, 1.0], &[0.5; 4], (1, 2, 1)).unwrap();
        let picture = image::open(&path).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (2 * (84 + 6) + 6, 2 * (42 + 6) + 6));
        assert_eq!(picture.get_pixel(6, 6).0, [0; 3]);
        assert_eq!(picture.get_pixel(6 + 42, 6).0, [255; 3]);
        assert_eq!(picture.get_pixel(6, 6 + 48).0, [128; 3]);
        assert!(reconstructions(&path, &[0.0; 3], &[0.0; 4], (1, 2, 1)).is_err());
    }
}
