// The matrices of products and attention on devices that multiply 8×8×8: Apple's GPUs, and Mesa on the CPU.
const SIDE: u32 = 8u;
alias Left = coop_mat8x8<Real, A>;
alias Right = coop_mat8x8<Real, B>;
alias Sums = coop_mat8x8<f32, C>;
