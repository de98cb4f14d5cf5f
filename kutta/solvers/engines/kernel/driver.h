// The loop over trials. W trajectories are on their way at once, one in each lane of a block; a lane whose
// trajectory has ended takes the next one. Times are double whatever the precision of the state, and count
// forwards along each trajectory, s = direction t.
//
// From the generator: D, STAGES, ORDER, ERROR_ORDER, REUSES_LAST, ADAPTIVE, HISTORY, POWERS, `f`, `stages`,
// `interpolant_stages`, `between`.

#include <algorithm>
#include <limits>

static const double STRETCH = 1e-3, TINY = 1e-30, SMALLEST = 4 * std::numeric_limits<double>::epsilon();
static const real LOWEST_RATIO = 1e-10, HIGHEST_RATIO = 1e10;
enum Code { OK = 0, MAX_STEPS = 2, STEP_UNDERFLOW = 3, NON_FINITE = 4 };

extern "C" struct Job {
  const real *y0;                          // (n, D)
  const double *t0, *t1;                   // (n)
  const real *own, *shared;                // parameters: (n, OWN), (SHARED)
  const real *rtol, *atol;                 // (n or 1, D)
  const double *save;                      // output times forwards, (n or 1, T)
  const double *control;                   // safety, smallest and largest factor, smallest and largest step, first step
  int64_t tolerance_stride, save_stride, outputs, max_steps;
  real *ys, *y1;                           // (T, n, D), (n, D)
  double *end, *size;                      // (n): last time, last step size
  int64_t *steps, *rejected, *evaluations; // (n)
  int32_t *codes;                          // (n)
  int64_t total;                           // n
};

struct Lane {
  int64_t trajectory = -1, output = 0, steps = 0, rejected = 0, evaluations = 0;
};

struct Block {
  const Job &job;
  Lane lanes[W];
  V y[D], own[OWN + 1], k[ALL_STAGES][D], rtol[D], atol[D];
  double s[W] = {}, s1[W] = {}, h[W] = {}, direction[W], floor[W];
  V earlier[HISTORY + 1];
  bool after_rejection[W] = {};
  int64_t next, last;
  int busy = 0;

  Block(const Job &job, int64_t first, int64_t last) : job(job), next(first), last(last) {
    for (auto &one : direction) one = 1;
    for (int d = 0; d < D; d++) y[d] = splat(1), rtol[d] = splat(1), atol[d] = splat(1);
    for (int j = 0; j <= OWN; j++) own[j] = splat(1);
    for (int j = 0; j <= HISTORY; j++) earlier[j] = splat(1);
    for (int i = 0; i < ALL_STAGES; i++) for (int d = 0; d < D; d++) k[i][d] = splat(0);
  }

  V along(const double *values) const {
    V result;
    for (int l = 0; l < W; l++) result[l] = real(direction[l] * values[l]);
    return result;
  }

  // Let every free lane take a trajectory; those of no length are ended at once.
  void fill() {
    bool fresh[W] = {}, any = false;
    for (int l = 0; l < W; l++)
      while (lanes[l].trajectory < 0 && next < last) {
        load(l, next++);
        if (s[l] < s1[l]) fresh[l] = any = true, busy++;
        else finish(l, OK);
      }
    if (any) begin(fresh);
  }

  void load(int l, int64_t n) {
    lanes[l] = Lane{n};
    direction[l] = job.t1[n] < job.t0[n] ? -1 : 1;
    s[l] = direction[l] * job.t0[n], s1[l] = direction[l] * job.t1[n];
    floor[l] = std::max(std::fabs(s[l]), std::fabs(s1[l])) * SMALLEST + job.control[3];
    after_rejection[l] = false;
    for (int j = 0; j < HISTORY; j++) earlier[j][l] = 1;
    for (int d = 0; d < D; d++) {
      y[d][l] = job.y0[n * D + d];
      rtol[d][l] = job.rtol[n * job.tolerance_stride * D + d];
      atol[d][l] = job.atol[n * job.tolerance_stride * D + d];
    }
    for (int j = 0; j < OWN; j++) own[j][l] = job.own[n * OWN + j];
    write_outputs_at_start(l);
  }

  void write_outputs_at_start(int l) {
    Lane &lane = lanes[l];
    while (lane.output < job.outputs && saved(l) <= s[l]) {
      for (int d = 0; d < D; d++) output(lane)[d] = y[d][l];
      lane.output++;
    }
  }

  double saved(int l) const { return job.save[lanes[l].trajectory * job.save_stride * job.outputs + lanes[l].output]; }
  real *output(const Lane &lane) { return job.ys + (lane.output * job.total + lane.trajectory) * D; }

  // First slopes and step sizes of new lanes; the others keep theirs.
  void begin(const bool *fresh) {
    V slope[D];
    f(along(s), y, own, job.shared, slope);
    M mask = mask_of(fresh);
    for (int d = 0; d < D; d++) k[0][d] = sel(mask, slope[d], k[0][d]);
    for (int l = 0; l < W; l++) lanes[l].evaluations += fresh[l] * REUSES_LAST;
    if (job.control[5] > 0) {
      for (int l = 0; l < W; l++) if (fresh[l]) h[l] = job.control[5];
    } else {
      first_step(fresh, slope);
    }
  }

  static M mask_of(const bool *flags) {
    V one;
    for (int l = 0; l < W; l++) one[l] = flags[l];
    return one > 0;
  }

  V norm(const V *values, const V *size) const {
    V sum = splat(0);
    for (int d = 0; d < D; d++) {
      V part = values[d] / (atol[d] + rtol[d] * size[d]);
      sum += part * part;
    }
    return v_sqrt(sum * real(1.0 / D));
  }

  // Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.4.
  void first_step(const bool *fresh, const V *slope) {
    V size[D], ahead[D], bent[D];
    for (int d = 0; d < D; d++) size[d] = v_abs(y[d]);
    V d0 = norm(y, size), d1 = norm(slope, size);
    double guess[W], then[W];
    V move;
    for (int l = 0; l < W; l++) {
      guess[l] = d0[l] < 1e-5 || d1[l] < 1e-5 ? 1e-6 : 0.01 * double(d0[l]) / double(d1[l]);
      if (!std::isfinite(guess[l])) guess[l] = 1e-6;
      then[l] = s[l] + guess[l];
      move[l] = real(direction[l] * guess[l]);
    }
    for (int d = 0; d < D; d++) ahead[d] = y[d] + move * slope[d];
    f(along(then), ahead, own, job.shared, bent);
    for (int d = 0; d < D; d++) bent[d] -= slope[d];
    V d2 = norm(bent, size);
    for (int l = 0; l < W; l++) {
      if (!fresh[l]) continue;
      lanes[l].evaluations += REUSES_LAST ? 1 : 2;
      double largest = std::max(double(d1[l]), d2[l] / guess[l]);
      double curved = largest <= 1e-15 ? std::max(1e-6, guess[l] * 1e-3) : std::pow(0.01 / largest, 1.0 / (ORDER + 1));
      if (!std::isfinite(largest)) curved = guess[l];
      h[l] = std::min(std::max(std::min(100 * guess[l], curved), job.control[3]), job.control[4]);
    }
  }

  // One trial of every lane.
  void trial() {
    double end[W], size[W];
    V move, y1[D], error[D];
    for (int l = 0; l < W; l++) {
      double left = s1[l] - s[l];
      bool lands = left <= h[l] * (1 + STRETCH);
      size[l] = lands ? left : h[l];
      end[l] = lands ? s1[l] : s[l] + size[l];
      move[l] = real(direction[l] * size[l]);
    }
    V t = along(s);
    stages(t, move, y, own, job.shared, k, y1, error);
    V ratio = ratio_of(y1, error);
    V tamed = v_min(v_max(sel(ratio != ratio, splat(HIGHEST_RATIO), ratio), splat(LOWEST_RATIO)), splat(HIGHEST_RATIO));
    V factor = factor_of(tamed);
    bool accepted[W], wanted = false;
    for (int l = 0; l < W; l++) {
      accepted[l] = ratio[l] <= 1 && s[l] < s1[l];
      wanted |= accepted[l] && lanes[l].output < job.outputs && saved(l) <= end[l];
    }
    if (wanted) write_outputs(accepted, t, move, end, size, y1);
    settle(accepted, ratio, tamed, factor, end, size, y1);
  }

  V ratio_of(const V *y1, const V *error) const {
    if (!ADAPTIVE) {
      V sum = splat(0);
      for (int d = 0; d < D; d++) sum += y1[d] - y1[d]; // zero, or NaN
      return sel(sum == 0, splat(0), splat(INFINITY));
    }
    V largest[D];
    for (int d = 0; d < D; d++) largest[d] = v_max(v_abs(y[d]), v_abs(y1[d]));
    return norm(error, largest);
  }

  V factor_of(V ratio) const {
    if (!ADAPTIVE) return splat(1);
    V value = rough_power(ratio, POWERS[0]) * real(job.control[0]);
    for (int j = 0; j < HISTORY; j++) value *= rough_power(earlier[j], POWERS[j + 1]);
    return v_min(v_max(value, splat(job.control[1])), splat(job.control[2]));
  }

  // Move the accepted lanes on, and choose the next step sizes.
  void settle(const bool *accepted, V ratio, V tamed, V factor, const double *end, const double *size, const V *y1) {
    M mask = mask_of(accepted);
    for (int d = 0; d < D; d++) y[d] = sel(mask, y1[d], y[d]);
    if (REUSES_LAST) for (int d = 0; d < D; d++) k[0][d] = sel(mask, k[STAGES - 1][d], k[0][d]);
    for (int j = HISTORY - 1; j > 0; j--) earlier[j] = sel(mask, earlier[j - 1], earlier[j]);
    if (HISTORY) earlier[0] = sel(mask, tamed, earlier[0]);
    for (int l = 0; l < W; l++) {
      Lane &lane = lanes[l];
      if (lane.trajectory < 0) continue;
      lane.steps++, lane.rejected += !accepted[l], lane.evaluations += REUSES_LAST ? STAGES - 1 : STAGES;
      if (ADAPTIVE) {
        double change = after_rejection[l] ? std::min(double(factor[l]), 1.0) : double(factor[l]);
        h[l] = std::min(std::max(size[l] * change, job.control[3]), job.control[4]);
      }
      after_rejection[l] = !accepted[l];
      if (accepted[l]) s[l] = end[l];
      if (s[l] >= s1[l]) release(l, OK);
      else if (is_stuck(l, accepted[l], size[l])) release(l, std::isfinite(ratio[l]) ? STEP_UNDERFLOW : NON_FINITE);
      else if (lane.steps >= job.max_steps) release(l, MAX_STEPS);
    }
  }

  bool is_stuck(int l, bool accepted, double size) const {
    if (accepted) return false;
    if (!ADAPTIVE) return true;
    return h[l] <= floor[l] &&
           size <= std::max(std::fabs(s[l]) * SMALLEST, std::max(std::fabs(s1[l] - s[l]) * TINY, job.control[3]));
  }

  void release(int l, Code code) { finish(l, code), busy--; }

  // Write down what has become of a lane, which is then free and stands still.
  void finish(int l, Code code) {
    Lane &lane = lanes[l];
    int64_t n = lane.trajectory;
    for (int d = 0; d < D; d++) job.y1[n * D + d] = y[d][l];
    job.end[n] = direction[l] * s[l], job.size[n] = h[l], job.codes[n] = code;
    job.steps[n] = lane.steps, job.rejected[n] = lane.rejected, job.evaluations[n] = lane.evaluations;
    for (; lane.output < job.outputs; lane.output++)
      for (int d = 0; d < D; d++) output(lane)[d] = code == OK ? y[d][l] : real(NAN);
    lane.trajectory = -1;
    s1[l] = s[l];
  }

  void write_outputs(const bool *accepted, V t, V move, const double *end, const double *size, const V *y1) {
    interpolant_stages(t, move, y, own, job.shared, k, y1);
    for (int l = 0; l < W; l++) {
      Lane &lane = lanes[l];
      bool extra = false;
      while (accepted[l] && lane.output < job.outputs && saved(l) <= end[l]) {
        real *target = output(lane);
        double theta = (saved(l) - s[l]) / size[l];
        if (saved(l) == end[l]) for (int d = 0; d < D; d++) target[d] = y1[d][l];
        else between(theta, l, move, y, k, target), extra = true;
        lane.output++;
      }
      lane.evaluations += extra * EXTRA;
    }
  }
};

extern "C" void run(const Job *job, int64_t first, int64_t last) {
  Block block(*job, first, last);
  for (block.fill(); block.busy; block.fill()) block.trial();
}
