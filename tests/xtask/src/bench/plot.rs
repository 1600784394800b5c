//! Curves as SVG, drawn for a page that is light or dark.

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;

use super::{
    results::{Axis, Plot},
    table,
};

/// Of the drawing, in its own units; the page scales it.
const SIZE: (u32, u32) = (760, 400);

/// Curves' colours: each can be read on white and on black.
const COLOURS: [RGBColor; 6] = [
    RGBColor(42, 125, 225),
    RGBColor(217, 83, 25),
    RGBColor(43, 138, 62),
    RGBColor(156, 84, 190),
    RGBColor(190, 130, 20),
    RGBColor(20, 140, 150),
];

/// What the drawing has for the page's own text colour.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_IN_SVG: &str = "#010203";

/// Draws it.
///
/// # Errors
///
/// It has no points, or they cannot be drawn.
pub fn svg(plot: &Plot) -> Result<String> {
    let points = plot.series.iter().flat_map(|series| &series.points);
    let (across, up): (Vec<f64>, Vec<f64>) =
        points.filter_map(|point| placed(plot, *point)).unzip();
    ensure!(!across.is_empty(), "{}: there are no points", plot.title);
    let (x, y) = (span(&across, plot.x.log), span(&up, plot.y.log));
    let mut drawing = String::new();
    draw(plot, x, y, &mut drawing).map_err(|error| anyhow!("{}: {error}", plot.title))?;
    Ok(drawing.replace(INK_IN_SVG, "currentColor"))
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(plot: &Plot, x: (f64, f64), y: (f64, f64), drawing: &mut String) -> Drawn {
    let area = SVGBackend::with_string(drawing, SIZE).into_drawing_area();
    let text = ("sans-serif", 14).into_font().color(&INK);
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        // Half of the last label stands over the end.
        .margin_right(40)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .x_desc(&plot.x.label)
        .y_desc(&plot.y.label)
        .x_label_formatter(&|value| label(&plot.x, *value))
        .y_label_formatter(&|value| label(&plot.y, *value))
        .x_labels(labels(&plot.x, x))
        .y_labels(labels(&plot.y, y))
        .label_style(text.clone())
        .axis_desc_style(text)
        .axis_style(INK)
        .bold_line_style(INK.mix(0.15))
        .light_line_style(INK.mix(0.0))
        .draw()?;
    for (series, colour) in plot.series.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<_> = series
            .points
            .iter()
            .filter_map(|point| placed(plot, *point))
            .collect();
        let style = colour.stroke_width(2);
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        let dot = |point| Circle::new(point, 2, colour.filled());
        chart.draw_series(points.into_iter().map(dot))?;
    }
    area.present()?;
    Ok(())
}

/// The curves' names with their colours, for the page.
pub fn legend(plot: &Plot) -> impl Iterator<Item = (&str, String)> {
    let colour = |it: &RGBColor| format!("rgb({}, {}, {})", it.0, it.1, it.2);
    let names = plot.series.iter().map(|series| &*series.name);
    names.zip(COLOURS.iter().cycle().map(colour))
}

/// How many labels an axis has at most: one for each power of ten, if it is logarithmic.
fn labels(axis: &Axis, (least, most): (f64, f64)) -> usize {
    let powers = (0..10).take_while(|power| least + f64::from(*power) <= most);
    if axis.log { powers.count() } else { 8 }
}

/// Where a point is drawn; nowhere if a logarithmic axis has no place for it.
fn placed(plot: &Plot, (x, y): (f64, f64)) -> Option<(f64, f64)> {
    let place = |axis: &Axis, value: f64| if axis.log { value.log10() } else { value };
    let point = (place(&plot.x, x), place(&plot.y, y));
    (point.0.is_finite() && point.1.is_finite()).then_some(point)
}

fn label(axis: &Axis, value: f64) -> String {
    table::number(if axis.log { 10_f64.powf(value) } else { value })
}

/// The axis' ends. One that is not logarithmic begins at 0.
fn span(values: &[f64], log: bool) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = if log { least.floor() } else { least.min(0.0) };
    let most = if log { most.ceil() } else { most * 1.05 };
    // One value alone has an extent, too.
    (least, if most > least { most } else { least + 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Series;

    fn plot(log: bool, points: &[(f64, f64)]) -> Plot {
        let axis = |label: &str| Axis {
            label: label.to_owned(),
            log,
        };
        Plot {
            title: "t".to_owned(),
            x: axis("across & on"),
            y: axis("up"),
            series: vec![Series {
                name: "curve".to_owned(),
                points: points.to_vec(),
            }],
        }
    }

    #[test]
    fn a_drawing_takes_the_pages_colour_and_says_its_axes() {
        let drawn = svg(&plot(true, &[(1.0, 10.0), (1000.0, 20.0), (0.0, 5.0)])).unwrap();
        assert!(drawn.contains("currentColor") && !drawn.contains(INK_IN_SVG));
        assert!(!drawn.contains("#000000"), "black cannot be read on black");
        for text in ["across &amp; on", "up", "1,000"] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
        assert!(!drawn.contains("31.62"), "powers of ten are enough");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn a_single_point_and_none() {
        assert!(svg(&plot(false, &[(5.0, 0.0)])).is_ok());
        assert!(svg(&plot(false, &[])).is_err());
        assert!(svg(&plot(true, &[(0.0, 1.0)])).is_err(), "no place for 0");
    }
}
