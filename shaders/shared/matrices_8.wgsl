// The matrices of products and attention where the device multiplies 8×8×8: those of Apple's GPUs, and of Mesa's on the CPU.
const SIDE: u32 = 8u;
alias Left = coop_mat8x8<Real, A>;
alias Right = coop_mat8x8<Real, B>;
alias Sums = coop_mat8x8<f32, C>;
