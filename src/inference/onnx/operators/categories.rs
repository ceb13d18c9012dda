//! `OneHotEncoder` and `LabelEncoder` of ai.onnx.ml, for categories that are numbers.

use std::cmp::Ordering;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::Built;
use super::attributes::{Numbers, Reader};
use super::rows::{RowFunction, Shape, map_rows, number, operator};

/// Most categories of an encoder: each value becomes as many columns.
const MAX_CATEGORIES: usize = 4096;

/// Each value becomes a column for each category, 1 where it is that category.
#[derive(Debug)]
struct OneHotEncoder {
    /// Category and column, by category.
    columns: Vec<(i64, usize)>,
    /// A value that is no category becomes zeros; else it is an error.
    zeros: bool,
}

pub(super) fn one_hot_encoder(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    reader.no_texts(&["cats_strings"]);
    let categories = reader.ints("cats_int64s");
    let zeros = reader.int("zeros").unwrap_or(1) != 0;
    if reader.is_sound() && (categories.is_empty() || categories.len() > MAX_CATEGORIES) {
        let reason = format!("has {} categories, must be 1 to {MAX_CATEGORIES}", categories.len());
        reader.refuse("cats_int64s", reason);
    }
    let mut columns: Vec<(i64, usize)> = categories.iter().enumerate().map(|(i, c)| (*c, i)).collect();
    columns.sort_unstable();
    for pair in columns.windows(2) {
        if let [(first, _), (second, at)] = pair
            && first == second
        {
            reader.refuse(format!("cats_int64s[{at}]"), format!("repeats category {second}"));
        }
    }
    reader.finish()?;
    Ok(operator(node, OneHotEncoder { columns, zeros }))
}

impl OneHotEncoder {
    fn column(&self, category: i64) -> Option<usize> {
        let at = self.columns.binary_search_by_key(&category, |(category, _)| *category).ok()?;
        self.columns.get(at).map(|(_, column)| *column)
    }
}

impl RowFunction for OneHotEncoder {
    fn name(&self) -> &'static str {
        "OneHotEncoder"
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        number(input)?;
        Ok((DatumType::F32, Shape::Appended(self.columns.len())))
    }

    #[allow(clippy::cast_possible_truncation)] // 2.7 counts as category 2, as in ONNX Runtime
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        let mut unknown = None;
        let mut encode = |category: Option<i64>, out: &mut [f32]| match category
            .and_then(|category| self.column(category))
            .and_then(|column| out.get_mut(column))
        {
            Some(slot) => *slot = 1.0,
            None => unknown = Some(category),
        };
        let width = self.columns.len();
        let output = if [DatumType::I64, DatumType::I32].contains(&input.datum_type()) {
            map_rows(&*input.cast_to::<i64>()?, shape, |row: &[i64], out: &mut [f32]| {
                row.iter().zip(out.chunks_exact_mut(width)).for_each(|(x, out)| encode(Some(*x), out));
            })
        } else {
            map_rows(&*input.cast_to::<f64>()?, shape, |row: &[f64], out: &mut [f32]| {
                for (x, out) in row.iter().zip(out.chunks_exact_mut(width)) {
                    encode((!x.is_nan()).then_some(*x as i64), out);
                }
            })
        };
        match unknown {
            Some(category) if !self.zeros => {
                let category = category.map_or("NaN".to_owned(), |category| category.to_string());
                bail!("{category} is no category of cats_int64s, and zeros is 0")
            }
            _ => output,
        }
    }
}

/// Puts a value in place of each key.
#[derive(Debug)]
struct LabelEncoder {
    keys: Numbers,
    /// Positions of the keys, by key; of equal keys the first.
    order: Vec<usize>,
    values: Numbers,
    /// One value, of the type of the others: what other values become.
    default: Numbers,
    /// Whether a key may be NaN: since version 4 of ai.onnx.ml.
    nan_is_key: bool,
}

pub(super) fn label_encoder(context: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    reader.no_texts(&["classes_strings", "keys_strings", "values_strings"]);
    // Exporters write the default of texts into every encoder.
    let _ = reader.string("default_string");
    let keys = numbers(&mut reader, "keys_int64s", "keys_floats", "keys_tensor");
    let values = numbers(&mut reader, "values_int64s", "values_floats", "values_tensor");
    let (whole, float) = (reader.int("default_int64"), reader.float("default_float"));
    let tensor = reader.tensor("default_tensor");
    if reader.is_sound() && (keys.len() == 0 || keys.len() != values.len()) {
        let reason =
            format!("are {}, values are {}; give one each, and at least one", keys.len(), values.len());
        reader.refuse("keys", reason);
    }
    let default = match (&values, tensor) {
        (Numbers::Whole(_), Some(Numbers::Whole(d))) if d.len() == 1 => Numbers::Whole(d),
        (Numbers::Single(_), Some(Numbers::Single(d))) if d.len() == 1 => Numbers::Single(d),
        (Numbers::Double(_), Some(Numbers::Double(d))) if d.len() == 1 => Numbers::Double(d),
        (_, Some(_)) => {
            reader.refuse("default_tensor", "must hold one value of the type of the values");
            Numbers::Whole(vec![])
        }
        (Numbers::Whole(_), None) => Numbers::Whole(vec![whole.unwrap_or(-1)]),
        (Numbers::Single(_), None) => Numbers::Single(vec![float.unwrap_or(-0.0)]),
        (Numbers::Double(_), None) => Numbers::Double(vec![-0.0]),
    };
    reader.finish()?;
    let version =
        context.model.opset_import.iter().find(|set| set.domain == "ai.onnx.ml").map(|set| set.version);
    let nan_is_key = version.is_some_and(|version| version >= 4);
    let mut order: Vec<usize> = (0..keys.len()).collect();
    match &keys {
        Numbers::Whole(keys) => order.sort_by_key(|at| keys.get(*at)),
        Numbers::Single(keys) => order.sort_by(|a, b| compare(keys.get(*a), keys.get(*b))),
        Numbers::Double(keys) => order.sort_by(|a, b| compare(keys.get(*a), keys.get(*b))),
    }
    Ok(operator(node, LabelEncoder { keys, order, values, default, nan_is_key }))
}

/// The one of three attributes that is given.
fn numbers(reader: &mut Reader, ints: &'static str, floats: &'static str, tensor: &'static str) -> Numbers {
    let (whole, single, any) = (reader.ints(ints), reader.floats(floats), reader.tensor(tensor));
    let given = [!whole.is_empty(), !single.is_empty(), any.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        reader.refuse(ints, format!("{floats} or {tensor} is given as well; keep one of them"));
    }
    match any {
        Some(numbers) => numbers,
        None if single.is_empty() => Numbers::Whole(whole.to_vec()),
        None => Numbers::Single(single.to_vec()),
    }
}

/// Zeros of both signs are one key; NaN comes last.
fn compare<T: PartialOrd>(a: Option<&T>, b: Option<&T>) -> Ordering {
    let is_nan = |x: Option<&T>| x.is_some_and(|x| x.partial_cmp(x).is_none());
    a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

impl LabelEncoder {
    /// The position of the first key that is `x`.
    fn find<T: PartialOrd + Copy>(&self, keys: &[T], x: T) -> Option<usize> {
        let is_nan = |x: T| x.partial_cmp(&x).is_none();
        let key = |at: &usize| keys.get(*at).copied();
        let before = |at: &usize| key(at).is_some_and(|key| key < x || is_nan(x) && !is_nan(key));
        let at = *self.order.get(self.order.partition_point(before))?;
        let found = key(&at)?;
        (found == x || self.nan_is_key && is_nan(x) && is_nan(found)).then_some(at)
    }

    fn encode<T: Datum + Copy + PartialOrd>(
        &self,
        keys: &[T],
        input: &Tensor,
        shape: &[usize],
    ) -> TractResult<Tensor> {
        match (&self.values, &self.default) {
            (Numbers::Whole(v), Numbers::Whole(d)) => self.replace(keys, v, d, input, shape),
            (Numbers::Single(v), Numbers::Single(d)) => self.replace(keys, v, d, input, shape),
            (Numbers::Double(v), Numbers::Double(d)) => self.replace(keys, v, d, input, shape),
            _ => bail!("the default is not of the type of the values"),
        }
    }

    fn replace<T: Datum + Copy + PartialOrd, U: Datum + Copy + Default>(
        &self,
        keys: &[T],
        values: &[U],
        default: &[U],
        input: &Tensor,
        shape: &[usize],
    ) -> TractResult<Tensor> {
        let default = default.first().copied().unwrap_or_default();
        map_rows(input, shape, |row: &[T], out: &mut [U]| {
            for (x, y) in row.iter().zip(out) {
                *y = self.find(keys, *x).and_then(|at| values.get(at)).copied().unwrap_or(default);
            }
        })
    }
}

impl RowFunction for LabelEncoder {
    fn name(&self) -> &'static str {
        "LabelEncoder"
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        let datum_type = |numbers: &Numbers| match numbers {
            Numbers::Whole(_) => DatumType::I64,
            Numbers::Single(_) => DatumType::F32,
            Numbers::Double(_) => DatumType::F64,
        };
        let wanted = datum_type(&self.keys);
        if input != wanted {
            return Err(format!("its keys are {wanted:?}, its input holds {input:?}; cast it before"));
        }
        Ok((datum_type(&self.values), Shape::Same))
    }

    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        match &self.keys {
            Numbers::Whole(keys) => self.encode(keys, input, shape),
            Numbers::Single(keys) => self.encode(keys, input, shape),
            Numbers::Double(keys) => self.encode(keys, input, shape),
        }
    }
}
