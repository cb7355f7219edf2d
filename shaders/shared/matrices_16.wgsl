// The matrices of products and attention on devices that multiply 16×16×16: most GPUs with cooperative matrices.
const SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;
