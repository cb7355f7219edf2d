// A long grid is folded into two dimensions, since a dimension holds at most 65535 workgroups.
fn group_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
