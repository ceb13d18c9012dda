//! Arithmetic, functions, reductions and casts.

use super::*;

#[test]
fn products_and_quotients_are_what_is_written() {
    let factors = || vec![tensor("F", &[1, 2], &[3.0, 0.0]), tensor("G", &[2], &[10.0, 1.0])];
    let x = 0.7_f32;
    let found = run(factors(), vec![node("Div", &["X", "F"], "Y", vec![])], &[[x, NAN]]);
    assert_bits(&found[..1], &[x / 3.0]);
    assert!(found[1].is_nan());
    let twice = vec![node("Mul", &["X", "F"], "m", vec![]), node("Mul", &["m", "G"], "Y", vec![])];
    let found = run(factors(), twice, &[[0.1, f32::INFINITY]]);
    assert_bits(&found[..1], &[0.1 * 3.0 * 10.0]);
    assert!(found[1].is_nan());
    // Whole numbers divide towards zero, and by zero to zero.
    let whole = vec![
        node("Cast", &["X"], "i", vec![int("to", 7)]),
        node("Div", &["i", "D"], "q", vec![]),
        node("Cast", &["q"], "Y", vec![int("to", 1)]),
    ];
    assert_bits(&run(vec![index_tensor("D", &[2, 0])], whole, &[[-7.0, 5.0]]), &[-3.0, 0.0]);
}

#[test]
fn casts_to_whole_numbers_are_the_same_everywhere() {
    let via = |to: DataType| {
        vec![
            node("Cast", &["X"], "i", vec![int("to", to as i64)]),
            node("Cast", &["i"], "Y", vec![int("to", 1)]),
        ]
    };
    let rows = [[2.7, -2.7, NAN, 1e30, f32::NEG_INFINITY]];
    let least = i64::MIN as f32;
    assert_bits(&run(vec![], via(DataType::Int64), &rows), &[2.0, -2.0, least, least, least]);
    let least = i32::MIN as f32;
    assert_bits(&run(vec![], via(DataType::Int32), &rows), &[2.0, -2.0, least, least, least]);
    let found = run(vec![], via(DataType::Bool), &[[0.0, -0.0, 0.5, NAN, 7.0]]);
    assert_bits(&found, &[0.0, 0.0, 1.0, 1.0, 1.0]);
}

#[test]
fn what_is_missing_stays_missing() {
    let bounds = || vec![tensor("L", &[1], &[-1.0]), tensor("H", &[1], &[2.0]), index_tensor("I", &[1])];
    let scalar = |operator: &str| node(operator, &["X"], "Y", vec![]);
    let names = "Abs Celu Ceil Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Neg Reciprocal Relu Round \
                 Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tanh ThresholdedRelu";
    let mut nodes: Vec<NodeProto> = names.split_whitespace().map(scalar).collect();
    for operator in ["Add", "Div", "Max", "Min", "Mul", "Sub", "Sum", "Mean", "PRelu"] {
        nodes.push(node(operator, &["X", "H"], "Y", vec![]));
    }
    nodes.push(node("Clip", &["X", "L", "H"], "Y", vec![]));
    for operator in
        ["ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"]
    {
        nodes.push(node(operator, &["X"], "Y", vec![ints("axes", [1])]));
    }
    nodes.push(node("ReduceSum", &["X", "I"], "Y", vec![]));
    for node in nodes {
        let operator = node.op_type.clone();
        let found = run(bounds(), vec![node], &[[1.0, NAN]]);
        // As in ONNX Runtime: NaN is not above the threshold.
        assert!(
            found.last().unwrap().is_nan() != (operator == "ThresholdedRelu"),
            "{operator} makes {found:?} of NaN"
        );
    }
}

#[test]
fn functions_and_reductions() {
    let one_of = |operator: &str, x: f32| one(operator, vec![], &[[x]])[0];
    assert_bits(&one("Relu", vec![], &[[-1.0, -0.0, 2.5]]), &[0.0, -0.0, 2.5]);
    assert_bits(
        &[one_of("Softplus", 200.0), one_of("Sigmoid", 200.0), one_of("Tanh", -50.0)],
        &[200.0, 1.0, -1.0],
    );
    assert_bits(&[one_of("Exp", 1.0), one_of("Log", 1.0)], &[std::f32::consts::E, 0.0]);
    let bounds = |low: f32, high: f32| vec![tensor("L", &[], &[low]), tensor("H", &[], &[high])];
    let clip = |inputs: &[&str]| vec![node("Clip", inputs, "Y", vec![])];
    let row = [[-5.0, 0.5, f32::INFINITY]];
    assert_bits(&run(bounds(-1.0, 2.0), clip(&["X", "L", "H"]), &row), &[-1.0, 0.5, 2.0]);
    assert_bits(&run(bounds(-1.0, 2.0), clip(&["X", "", "H"]), &row), &[-5.0, 0.5, 2.0]);
    assert_bits(&run(bounds(-1.0, 2.0), clip(&["X", "L"]), &row), &[-1.0, 0.5, f32::MAX]);
    let error = load(3, bounds(2.0, -1.0), clip(&["X", "L", "H"])).unwrap_err().to_string();
    assert!(error.contains("(Clip): 2 to -1 is no range"), "{error}");

    let row = [[3.0, -1.0, 3.0, 0.5]];
    let reduce =
        |operator: &str, keep: i64| one(operator, vec![ints("axes", [-1]), int("keepdims", keep)], &row)[0];
    for keep in [0, 1] {
        assert_bits(&[reduce("ReduceMax", keep), reduce("ReduceMin", keep)], &[3.0, -1.0]);
        assert_bits(&[reduce("ReduceMean", keep), reduce("ReduceProd", keep)], &[1.375, -4.5]);
        assert_bits(&[reduce("ReduceL1", keep), reduce("ReduceSumSquare", keep)], &[7.5, 19.25]);
        assert_bits(&[reduce("ReduceL2", keep)], &[19.25_f32.sqrt()]);
    }
    // The axis in the middle, of which the last one is a part of the row.
    let middle = vec![
        node("Reshape", &["X", "S"], "x", vec![]),
        node("ReduceMax", &["x"], "m", vec![ints("axes", [1]), int("keepdims", 0)]),
        node("Flatten", &["m"], "Y", vec![]),
    ];
    assert_bits(&run(vec![index_tensor("S", &[-1, 2, 2])], middle, &row), &[3.0, 0.5]);
    let position = |operator: &str, last: i64| {
        let attributes = vec![int("axis", 1), int("select_last_index", last)];
        let cast = node("Cast", &["i"], "Y", vec![int("to", 1)]);
        run(vec![], vec![node(operator, &["X"], "i", attributes), cast], &row)[0]
    };
    assert_bits(&[position("ArgMax", 0), position("ArgMax", 1), position("ArgMin", 0)], &[0.0, 2.0, 1.0]);
    let refused = |attributes| {
        load(4, vec![], vec![node("ReduceMax", &["X"], "Y", attributes)]).unwrap_err().to_string()
    };
    assert!(refused(vec![ints("axes", [0, 1])]).contains("reduces 2 axes, one is supported"));
    assert!(refused(vec![ints("axes", [2])]).contains("axis 2 does not exist, its input has 2 axes"));
    assert!(refused(vec![]).contains("reduces all axes; give one"));
}

/// The graph that scikit-learn's exporter makes of `AdaBoost`, with the columns as the predictions of three models.
fn weighted_median(opset: i64) -> ModelProto {
    let mut top = node("TopK", &["negated", "K"], "sorted", vec![]);
    top.output.push("order".to_owned());
    let constants = vec![
        tensor("minus", &[], &[-1.0]),
        tensor("weights", &[3], &[1.0, 2.5, 1.0]),
        tensor("half", &[], &[0.5]),
        index_tensor("K", &[3]),
        index_tensor("S", &[-1, 3]),
        index_tensor("axis", &[1]),
        index_tensor("last", &[2]),
    ];
    let nodes = vec![
        node("Mul", &["X", "minus"], "negated", vec![]),
        top,
        node("ArrayFeatureExtractor", &["weights", "order"], "flat", vec![]),
        node("Reshape", &["flat", "S"], "w", vec![]),
        node("CumSum", &["w", "axis"], "sums", vec![]),
        node("ArrayFeatureExtractor", &["sums", "last"], "all", vec![]),
        node("Mul", &["all", "half"], "middle", vec![]),
        node("Less", &["sums", "middle"], "below", vec![]),
        node("Cast", &["below"], "b", vec![int("to", 1)]),
        node("ArgMin", &["b"], "at", vec![int("axis", 1)]),
        node("GatherElements", &["order", "at"], "chosen", vec![int("axis", 1)]),
        node("GatherElements", &["X", "chosen"], "Y", vec![int("axis", 1)]),
    ];
    let mut file = model(3, constants, nodes);
    file.opset_import[0].version = opset;
    file
}

#[test]
fn a_weighted_median_takes_the_value_in_the_middle() {
    let mut model = Model::from_onnx("m", &bytes(&weighted_median(17)), 3).unwrap();
    let mut out = [0.0; 3];
    model.predict_batch(&[3.0, 1.0, 2.0, 5.0, 5.0, -4.0, 7.0, 8.0, 9.0], &mut out).unwrap();
    assert_bits(&out, &[1.0, 5.0, 8.0]);
    // NaN is sorted behind all numbers.
    model.predict(&[NAN, 1.0, 2.0], &mut out[..1]).unwrap();
    assert_bits(&out[..1], &[1.0]);
}

#[test]
fn computed_indices_are_checked() {
    let refused = |spoil: fn(&mut ModelProto)| {
        let mut file = weighted_median(17);
        spoil(&mut file);
        Model::from_onnx("m", &bytes(&file), 3).unwrap_err().to_string()
    };
    let k = |file: &mut ModelProto, values: &[i64]| {
        file.graph.as_mut().unwrap().initializer[3] = index_tensor("K", values);
    };
    assert!(
        refused(|file| file.graph.as_mut().unwrap().initializer[3] = index_tensor("K", &[4]))
            .contains("(TopK): K is [4]")
    );
    assert!(
        refused(|file| file.graph.as_mut().unwrap().node[1].attribute.push(int("axis", 0)))
            .contains("along the rows")
    );
    assert!(
        refused(|file| file.graph.as_mut().unwrap().node[11].attribute[0] = int("axis", 0))
            .contains("must work along axis 1")
    );
    assert!(
        refused(|file| file.graph.as_mut().unwrap().node[4].attribute.push(int("reverse", 1)))
            .contains("reverse: is not")
    );
    let mut few = weighted_median(17);
    k(&mut few, &[1, 2]);
    assert!(Model::from_onnx("m", &bytes(&few), 3).unwrap_err().to_string().contains("K is [1, 2]"));
    // A list that is too short for the positions, and positions beyond the columns.
    let mut short = weighted_median(17);
    short.graph.as_mut().unwrap().initializer[1] = tensor("weights", &[2], &[1.0, 2.5]);
    let mut model = Model::from_onnx("m", &bytes(&short), 3).unwrap();
    let error = model.predict(&[1.0, 2.0, 3.0], &mut [0.0]).unwrap_err().to_string();
    assert!(error.contains("index 2 is out of range, there are 2 values"), "{error}");
    let by_value = vec![
        node("Cast", &["X"], "i", vec![int("to", 7)]),
        node("GatherElements", &["X", "i"], "Y", vec![int("axis", 1)]),
    ];
    let mut model = load(2, vec![], by_value).unwrap();
    let mut out = [0.0; 2];
    model.predict(&[1.0, -2.0], &mut out).unwrap();
    assert_bits(&out, &[-2.0, 1.0]);
    for wild in [2.0, -3.0, NAN, f32::INFINITY] {
        let error = model.predict(&[wild, 0.0], &mut out).unwrap_err().to_string();
        assert!(error.contains("is out of range, there are 2 values"), "{error}");
    }
}
