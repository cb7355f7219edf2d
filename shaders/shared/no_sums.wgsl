// Of a product whose first operand is not added up beside it.
const HAS_SUMS: bool = false;

fn store_sums(row: u32, value: vec4<f32>) {}

