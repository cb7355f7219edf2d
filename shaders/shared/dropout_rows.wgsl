// Dropout of activations [rows, width], which are one run of elements through the whole batch of a step.

// Where the elements of a microbatch begin in that run: in which octet, and behind how many of its elements. So element i is
// number i + skipped from that octet's first on.
struct DropoutOrigin {
    octet: vec2<u32>, // low word first
    skipped: u32,
}

fn dropout_origin(width: u32) -> DropoutOrigin {
    let octets = step.first_row / 8u * width;
    let rest = step.first_row % 8u * width;
    let low = octets + rest / 8u;
    let high = multiply_high(step.first_row / 8u, width) + u32(low < octets);
    return DropoutOrigin(vec2<u32>(low, high), rest % 8u);
}

// The numbers of an octet from the origin's on.
fn words_of_octet(origin: DropoutOrigin, octet: u32) -> vec4<u32> {
    let low = origin.octet.x + octet;
    return dropout_words(vec2<u32>(low, origin.octet.y + u32(low < octet)));
}

// What the elements of a quad are multiplied by, of the quads from the origin's octet on.
fn masks_of_quad(rate: f32, origin: DropoutOrigin, quad: u32) -> vec4<f32> {
    return masks_of_half(rate, words_of_octet(origin, quad / 2u), quad % 2u);
}
