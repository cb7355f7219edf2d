// For products that do not also sum their first operand over depth.
const HAS_SUMS: bool = false;

fn store_sums(row: u32, value: vec4<f32>) {}

