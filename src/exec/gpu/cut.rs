//! Cuts launches by their grid if they would take a slow device long. Windows resets a GPU whose work takes two seconds, and a
//! desktop that shares the GPU freezes meanwhile. A part computes some of the workgroups, each exactly as in the whole.

use crate::kernels::Class;

/// The most FLOP that a launch may have on a device of a class before it is cut: half a second at 0.1 TFLOP/s on an integrated
/// GPU, and at 1 TFLOP/s on others.
pub(super) fn most_flops(class: Class) -> u64 {
    match class {
        Class::Integrated => 50_000_000_000,
        Class::Discrete => 500_000_000_000,
        Class::Software => u64::MAX,
    }
}

/// A part of a grid's workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first workgroup in the whole.
    pub first: [u32; 3],
    pub grid: [u32; 3],
}

/// Splits a grid along its longest side into `count` parts, or a few less.
pub fn parts(grid: [u32; 3], count: u64) -> Vec<Part> {
    let longest = (0..3).max_by_key(|&side| grid[side]).expect("there are three");
    let step = u64::from(grid[longest]).div_ceil(count.max(1)).max(1) as u32;
    let starts = (0..grid[longest].max(1)).step_by(step as usize);
    let part = |start| {
        let mut part = Part { first: [0; 3], grid };
        part.first[longest] = start;
        part.grid[longest] = step.min(grid[longest] - start);
        part
    };
    starts.map(part).collect()
}

const GROUP: &str = "@builtin(workgroup_id) group: vec3<u32>";
const GROUPS: &str = "@builtin(num_workgroups) groups: vec3<u32>";

/// A shader for a part of a grid: its entry points see workgroup numbers as in the whole grid. All of Cloze's shaders declare
/// them in the same form.
pub fn text(wgsl: &str, whole: [u32; 3], part: Part) -> String {
    let vector = |[x, y, z]: [u32; 3]| format!("vec3<u32>({x}u, {y}u, {z}u)");
    let body =
        format!(") {{\n    let group = group_of_part + {};\n    let groups = {};", vector(part.first), vector(whole));
    let mut pieces = wgsl.split(GROUP);
    let mut text = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        text += &GROUP.replace(" group:", " group_of_part:");
        text += &piece.replace(GROUPS, &GROUPS.replace(" groups:", " groups_of_part:")).replacen(") {", &body, 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_grid() {
        for (grid, count, made) in [([7, 3, 2], 3, 3), ([1, 1, 1], 5, 1), ([2, 65535, 1], 4, 4), ([5, 1, 1], 9, 5)] {
            let parts = parts(grid, count);
            assert_eq!(parts.len(), made, "{grid:?}");
            let mut next = [0; 3];
            for part in &parts {
                assert_eq!(part.first, next, "{grid:?}");
                let longest = (0..3).max_by_key(|&side| grid[side]).unwrap();
                next[longest] += part.grid[longest];
            }
            assert_eq!(next.iter().max(), grid.iter().max());
        }
    }
}
