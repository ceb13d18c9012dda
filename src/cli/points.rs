//! `cooltwin points`: the list of points for a gateway or a building's model.

mod brick;
mod haystack;
mod list;
mod table;

use std::io::Write;

use super::run::{SourceArgs, load};
use super::{Failure, Outcome, output};
use crate::domain::UnitId;
use list::PointList;

/// Arguments of `cooltwin points`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// A unit, by its name in topics; may be given several times
    #[arg(long = "unit", short, value_name = "NAME")]
    unit: Vec<String>,
    /// Several units at once, with commas between
    #[arg(long = "units", value_name = "NAME,...", value_delimiter = ',', required_unless_present = "unit")]
    units: Vec<String>,
    /// What to write
    #[arg(long, short, value_enum, default_value = "csv")]
    format: Format,
    /// List the sensors, too, which come in
    #[arg(long)]
    inputs: bool,
    /// BACnet instance number of the first unit's first object
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first: u32,
}

/// What is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// One row a point, for spreadsheets and gateways
    Csv,
    /// One document
    Json,
    /// Project Haystack 4, JSON
    Haystack,
    /// Brick, Turtle
    Brick,
}

/// Writes the point list of the units.
///
/// # Errors
/// Wrong configuration or bundle, a name that no unit can have, or more objects than BACnet can number.
pub fn points(args: &Args) -> Outcome {
    let mut units: Vec<UnitId> = Vec::new();
    for name in args.unit.iter().chain(&args.units) {
        let id = UnitId::new(name).map_err(|error| Failure::usage(format!("--unit {name}: {error}")))?;
        if !units.contains(&id) {
            units.push(id);
        }
    }
    let loaded = load(&args.source.source())?;
    let list = PointList::new(&loaded, &units, args.inputs, args.first).map_err(Failure::usage)?;
    let text = match args.format {
        Format::Csv => table::csv(&list),
        Format::Json => table::json(&list),
        Format::Haystack => haystack::grid(&list),
        Format::Brick => brick::turtle(&list),
    };
    let mut out = output::bulk();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
