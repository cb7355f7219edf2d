// Workgroups in a row are folded into two dimensions, since one holds at most 65535.
fn group_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
