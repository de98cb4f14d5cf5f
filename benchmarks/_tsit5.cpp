// The method of Tsitouras with the step control of kutta's PID, for the Lorenz equations in double precision,
// written by hand: what one would write who needs this one system solved and nothing else.

#include <math.h>

typedef double State[3];
static inline void lorenz(const State y, State dy) {
  dy[0] = 10.0 * (y[1] - y[0]);
  dy[1] = y[0] * (28.0 - y[2]) - y[1];
  dy[2] = y[0] * y[1] - (8.0 / 3.0) * y[2];
}

static inline double norm(const State v, const State a, const State b, double rtol, double atol) {
  double sum = 0;
  for (int d = 0; d < 3; d++) {
    double part = v[d] / (atol + rtol * fmax(fabs(a[d]), fabs(b[d])));
    sum += part * part;
  }
  return sqrt(sum / 3);
}

static double first_step(const State y, const State slope, double rtol, double atol) {
  double d0 = norm(y, y, y, rtol, atol), d1 = norm(slope, y, y, rtol, atol);
  double guess = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
  State ahead, bent;
  for (int d = 0; d < 3; d++) ahead[d] = y[d] + guess * slope[d];
  lorenz(ahead, bent);
  for (int d = 0; d < 3; d++) bent[d] -= slope[d];
  double largest = fmax(d1, norm(bent, y, y, rtol, atol) / guess);
  return fmin(100 * guess, largest <= 1e-15 ? fmax(1e-6, guess * 1e-3) : pow(0.01 / largest, 1.0 / 6));
}

// Integrate y from t to end; returns the number of steps tried.
extern "C" long solve(double *y, double t, double end, double rtol, double atol) {
  State k[7], g, error;
  double before = 1, ratio;
  long steps = 0;
  bool rejected = false;
  lorenz(y, k[0]);
  for (double h = first_step(y, k[0], rtol, atol); t < end; steps++) {
    bool lands = end - t <= h * 1.001;
    double size = lands ? end - t : h;
    for (int d = 0; d < 3; d++) g[d] = y[d] + size * (0.161 * k[0][d]);
    lorenz(g, k[1]);
    for (int d = 0; d < 3; d++) g[d] = y[d] + size * (-0.008480655492356989 * k[0][d] + 0.335480655492357 * k[1][d]);
    lorenz(g, k[2]);
    for (int d = 0; d < 3; d++) g[d] = y[d] + size * (2.8971530571054935 * k[0][d] - 6.359448489975075 * k[1][d]
        + 4.3622954328695815 * k[2][d]);
    lorenz(g, k[3]);
    for (int d = 0; d < 3; d++) g[d] = y[d] + size * (5.325864828439257 * k[0][d] - 11.748883564062828 * k[1][d]
        + 7.4955393428898365 * k[2][d] - 0.09249506636175525 * k[3][d]);
    lorenz(g, k[4]);
    for (int d = 0; d < 3; d++) g[d] = y[d] + size * (5.86145544294642 * k[0][d] - 12.92096931784711 * k[1][d] +
        8.159367898576159 * k[2][d] - 0.071584973281401 * k[3][d] - 0.028269050394068383 * k[4][d]);
    lorenz(g, k[5]);
    for (int d = 0; d < 3; d++) g[d] = y[d] + size * (0.09646076681806523 * k[0][d] + 0.01 * k[1][d] +
        0.4798896504144996 * k[2][d] + 1.379008574103742 * k[3][d] - 3.290069515436081 * k[4][d] + 2.324710524099774
        * k[5][d]);
    lorenz(g, k[6]);
    for (int d = 0; d < 3; d++) error[d] = size * (0.0017800110522257714 * k[0][d] + 0.0008164344596567469 * k[1][d]
        - 0.007880878010261995 * k[2][d] + 0.1447110071732629 * k[3][d] - 0.5823571654525552 * k[4][d] +
        0.45808210592918697 * k[5][d] - 0.015151515151515152 * k[6][d]);
    ratio = fmin(fmax(norm(error, y, g, rtol, atol), 1e-10), 1e10);
    bool accepted = ratio <= 1;
    double factor = 0.9 * pow(ratio, -0.2) * pow(before, 0.04);
    factor = fmin(fmax(factor, 0.2), rejected ? 1.0 : 10.0);
    h = size * factor, rejected = !accepted;
    if (!accepted) continue;
    t = lands ? end : t + size, before = ratio;
    for (int d = 0; d < 3; d++) y[d] = g[d], k[0][d] = k[6][d];
  }
  return steps;
}
