// Dropout of activations [rows, width]. Their elements are numbered in one run through the whole batch of a step.

// Where a microbatch begins in that run: in which octet, and after how many of its elements. So element i of the microbatch is
// number i + skipped, counted from the start of that octet.
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

// The random numbers of an octet, counted from the origin's octet.
fn words_of_octet(origin: DropoutOrigin, octet: u32) -> vec4<u32> {
    let low = origin.octet.x + octet;
    return dropout_words(vec2<u32>(low, origin.octet.y + u32(low < octet)));
}

// The factors for a quad of elements, counted from the start of the origin's octet.
fn masks_of_quad(rate: f32, origin: DropoutOrigin, quad: u32) -> vec4<f32> {
    return masks_of_half(rate, words_of_octet(origin, quad / 2u), quad % 2u);
}
