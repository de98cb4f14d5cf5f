// The entry on a GPU: one trajectory by each thread. A warp is done when the last of its trajectories is; in blocks of
// one warp no other one waits for it.

extern "C" __global__ void __launch_bounds__(32) run(const __grid_constant__ Job job) {
  long long n = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (n >= job.total) return;
  Block block(job, n, n + 1);
  block.fill();
  while (block.busy) block.trial();
}
