//! Plots, as SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color, DrawingArea, EmptyElement, IntoDrawingArea, IntoFont, IntoLogRange,
    LineSeries, PathElement, RGBColor, Rectangle, SVGBackend, SeriesLabelPosition, Text, WHITE,
};

use super::table::{LOADS, mean_size};
use crate::compare::case::Case;
use crate::compare::contestant::Kind;
use crate::compare::results::{Latency, Results};
use crate::compare::statistics::{Digits, Spread};

type Refusal = Box<dyn std::error::Error + Send + Sync>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Width of every plot in pixels.
const WIDTH: u32 = 900;
/// Height of one bar of the throughput plot.
const BAR: f64 = 18.0;
/// Height of what is around the bars.
const FRAME: f64 = 110.0;
const FONT: &str = "sans-serif";
/// Room for the legend above the highest latency, as a factor.
const LEGEND: f64 = 40.0;

/// The color of a contestant, distinct also for the color-blind (Okabe and Ito's palette).
fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Vtepd => RGBColor(0, 114, 178),
        Kind::VtepdRing => RGBColor(86, 180, 233),
        Kind::Linux => RGBColor(230, 159, 0),
        Kind::OpenVswitch => RGBColor(0, 158, 115),
        Kind::Redirect => RGBColor(153, 153, 153),
    }
}

/// Draws the maximum rates by case, one bar for each contestant with a whisker over the range of the rounds.
///
/// # Errors
/// What the file system or the library refused.
pub fn throughput(results: &Results, path: &Path) -> Result<(), Refusal> {
    let groups: Vec<(Case, Vec<(Kind, Spread)>)> =
        results.cases().into_iter().map(|case| (case, bars(results, &case))).collect();
    let rows: usize = groups.iter().map(|(_, bars)| bars.len() + 2).sum();
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|(_, rate)| rate.greatest).fold(1e-3, f64::max);
    let height = rows as f64 * BAR + FRAME;
    let area = SVGBackend::new(path, (WIDTH, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Maximum rate: median and range of the rounds", (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .build_cartesian_2d(0.0..most * 1.3, (rows as f64)..0.0)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_desc("million frames per second").draw()?;
    let mut row = 0.0;
    for (case, bars) in &groups {
        let label = Text::new(case.to_string(), (0.0, row + 0.6), (FONT, 15).into_font());
        chart.draw_series([label])?;
        row += 1.5;
        for (kind, rate) in bars {
            let bar = Rectangle::new([(0.0, row + 0.1), (rate.median, row + 0.9)], color(*kind).filled());
            let range = PathElement::new([(rate.least, row + 0.5), (rate.greatest, row + 0.5)], BLACK);
            chart.draw_series([bar])?;
            chart.draw_series([range])?;
            let gigabits = rate.median * 1e6 * mean_size(case.size) * 8.0 / 1e9;
            let text = format!("{kind}: {} Mpps, {} Gb/s", Digits(rate.median), Digits(gigabits));
            let place = (rate.greatest + most * 0.01, row + 0.15);
            chart.draw_series([Text::new(text, place, (FONT, 12).into_font())])?;
            row += 1.0;
        }
        row += 0.5;
    }
    area.present()?;
    Ok(())
}

/// Rates in millions of those that were measured.
fn bars(results: &Results, case: &Case) -> Vec<(Kind, Spread)> {
    let rate = |kind| Some((kind, results.of(case, kind)?.maximum()?.scaled(1e-6)));
    Kind::ALL.into_iter().filter_map(rate).collect()
}

/// Draws latency percentiles of a case, by load.
///
/// # Errors
/// What the file system or the library refused.
pub fn latency(results: &Results, case: &Case, path: &Path) -> Result<(), Refusal> {
    let area = SVGBackend::new(path, (WIDTH, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("Latency at shares of each one's 0.5 %-loss rate: {case}");
    let area = area.titled(&title, (FONT, 18))?;
    let highest = Kind::ALL
        .into_iter()
        .flat_map(|kind| LOADS.map(|load| points(results, case, kind, load)))
        .flatten()
        .map(|(_, value)| value)
        .fold(10.0, f64::max);
    for (panel, load) in area.split_evenly((1, LOADS.len())).iter().zip(LOADS) {
        panel_of(results, case, load, highest, panel)?;
    }
    area.present()?;
    Ok(())
}

fn panel_of(results: &Results, case: &Case, load: f64, highest: f64, area: &Area<'_>) -> Result<(), Refusal> {
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{} % load", load * 100.0), (FONT, 15))
        .margin(8)
        .x_label_area_size(30)
        .y_label_area_size(55)
        .build_cartesian_2d(-0.3..2.3, (1.0..highest * LEGEND).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(3)
        .x_label_formatter(&|place| percentile_name(*place))
        .y_label_formatter(&|value| format!("{} µs", Digits(*value)))
        .disable_x_mesh()
        .draw()?;
    for kind in Kind::ALL {
        let points = points(results, case, kind, load);
        if points.is_empty() {
            continue;
        }
        let style = color(kind).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.clone(), style))?
            .label(kind.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        let dots = points
            .into_iter()
            .map(|point| EmptyElement::at(point) + Circle::new((0, 0), 3, color(kind).filled()));
        chart.draw_series(dots)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font((FONT, 11))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

fn percentile_name(place: f64) -> String {
    let names = ["p50", "p99", "p99.9"];
    let nearest = place.round();
    let name = names.iter().zip([0.0, 1.0, 2.0]).find(|(_, at)| (nearest - at).abs() < 0.1);
    name.filter(|_| (place - nearest).abs() < 0.1).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
}

/// Percentiles in microseconds by their place on the axis.
fn points(results: &Results, case: &Case, kind: Kind, load: f64) -> Vec<(f64, f64)> {
    let picks: [fn(&Latency) -> u64; 3] = [|at| at.p50, |at| at.p99, |at| at.p999];
    let value = |(place, pick): (f64, fn(&Latency) -> u64)| {
        Some((place, results.of(case, kind)?.latency(load, pick)?.median / 1000.0))
    };
    [0.0, 1.0, 2.0].into_iter().zip(picks).filter_map(value).collect()
}
