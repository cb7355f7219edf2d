// The matrices of products and attention where the device multiplies 16×16×16: those of most GPUs that have them.
const SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;
