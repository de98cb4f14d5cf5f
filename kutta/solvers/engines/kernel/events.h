// Events: a lane stops where one of its conditions changes sign, at the first such place of its step.
//
// From the generator: EVENTS, the number of conditions; WANTED, the direction of each, 0 for both; `conditions`.

// Positions at which to look for the sign that a condition has right after it was zero.
TABLE double SOON[] = {0x1p-40, 0x1p-30, 0x1p-20, 0x1p-12, 0x1p-8, 0x1p-6, 0x1p-4, 0x1p-3, 0x1p-2, 0x1p-1};

template <class Block> struct Watch {
  V before[EVENTS + 1]; // the conditions at the current times
  int event[W] = {};    // which one has stopped a lane, counted from 1
  double theta[W] = {}, scale[W] = {};

  DEVICE void load(int l, const real *values) {
    for (int e = 0; e < EVENTS; e++) before[e][l] = values[e];
    event[l] = 0;
  }

  // Which accepted lanes have crossed an event; of the others take over the new values.
  DEVICE M crossed(const Block &block, M accepted, T end, const V *y1, V *now) {
    conditions(block.direction * to_real(end), y1, block.own, block.job.shared, now);
    M found = {};
    for (int e = 0; e < EVENTS; e++) found |= accepted & crosses(e, now);
    M goes = accepted & ~found;
    for (int e = 0; e < EVENTS; e++) before[e] = sel(goes & (now[e] != 0), now[e], before[e]);
    return found;
  }

  DEVICE M crosses(int e, const V *now) const {
    M up = (before[e] < 0) & (now[e] >= 0), down = (before[e] > 0) & (now[e] <= 0);
    return WANTED[e] > 0 ? up : WANTED[e] < 0 ? down : up | down;
  }

  DEVICE M stopped() const {
    M found;
    for (int l = 0; l < W; l++) found[l] = event[l] ? -1 : 0;
    return found;
  }

  // The first event of a lane that has crossed some.
  DEVICE void locate(const Block &block, int l, double size, V move, const V *now) {
    for (int e = 0; e < EVENTS; e++) {
      if (!crosses(e, now)[l]) continue;
      double place = root(block, l, e, now[e][l], size, move);
      if (event[l] && theta[l] <= place) continue;
      event[l] = e + 1, theta[l] = place, scale[l] = larger(fabs(before[e][l]), fabs(now[e][l]));
    }
  }

  DEVICE double root(const Block &block, int l, int e, real last, double size, V move) const {
    auto same = [&](double place) { return at(block, l, e, place, size, move) * before[e][l] > 0; };
    double low = 0, high = 1;
    for (int i = 0; !same(low); i++) {
      if (i == sizeof SOON / sizeof *SOON) return 1;
      low = SOON[i];
    }
    if (last == 0) return 1;
    while (high - low > 1e-15) {
      double middle = 0.5 * (low + high);
      (same(middle) ? low : high) = middle;
    }
    return high;
  }

  // A condition of one lane at a position in its step.
  DEVICE real at(const Block &block, int l, int e, double place, double size, V move) const {
    real state[D];
    V y[D], own[OWN + 1], values[EVENTS + 1];
    block.between(place, l, move, state);
    for (int d = 0; d < D; d++) y[d] = splat(state[d]);
    for (int j = 0; j < OWN; j++) own[j] = splat(block.own[j][l]);
    double t = block.direction[l] * (block.s[l] + place * size);
    conditions(splat(real(t)), y, own, block.job.shared, values);
    return values[e][0];
  }
};
