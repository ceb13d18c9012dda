//! The units: all by quality, and the first of them one by one.

use super::exposition::Exposition;
use crate::daemon::Figures;
use crate::engine::view::TargetView;

const QUALITIES: [&str; 3] = ["good", "uncertain", "bad"];

/// What is read of a target.
type Read = fn(&TargetView) -> Option<f64>;

pub(super) fn write(figures: &Figures, out: &mut Exposition) {
    let (by_quality, units) = (figures.quality, &figures.units.units);
    out.gauge("cooltwin_units", "Units held, by the quality of their last evaluation.");
    for (quality, count) in QUALITIES.into_iter().zip([by_quality.good, by_quality.uncertain, by_quality.bad])
    {
        out.sample(&[("quality", quality)], count as f64);
    }
    let omitted = figures.units.count.saturating_sub(units.len());
    let help = "Units without series of their own, because there are too many.";
    out.gauge("cooltwin_units_omitted", help).sample(&[], omitted as f64);
    out.gauge("cooltwin_unit_quality", "Quality of the unit's last evaluation: one of the three is 1.");
    for unit in units {
        for quality in QUALITIES {
            let is_it = f64::from(u8::from(unit.quality == quality));
            out.sample(&[("unit", &unit.unit), ("quality", quality)], is_it);
        }
    }
    out.counter("cooltwin_unit_predictions_total", "Predictions since the unit appeared.");
    for unit in units {
        out.sample(&[("unit", &unit.unit)], unit.seq as f64);
    }
    out.gauge("cooltwin_unit_heard_seconds", "Time since something came of the unit.");
    for unit in units {
        out.sample(&[("unit", &unit.unit)], unit.heard_s);
    }
    let families: [(&str, &str, Read); 3] = [
        ("cooltwin_predicted_value", "Predicted last, in the target's own unit.", |target| target.predicted),
        (
            "cooltwin_measured_value",
            "Measured when that was predicted, in the target's own unit.",
            |target| target.measured,
        ),
        ("cooltwin_residual_value", "Measured less predicted, in the target's own unit.", |target| {
            target.residual
        }),
    ];
    for (name, help, read) in families {
        out.gauge(name, help);
        for unit in units.iter().filter(|unit| unit.state == "predicting") {
            for target in &unit.targets {
                let labels =
                    [("unit", unit.unit.as_str()), ("target", &target.name), ("measure", &target.unit)];
                if let Some(value) = read(target) {
                    out.sample(&labels, value);
                }
            }
        }
    }
}
