// Plans that are kept, memory of threads, and work for several of them.

#ifndef KUTTA_WORK
#define KUTTA_WORK

#include <stdint.h>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace kutta_transforms {

// Entries from which on a second thread is woken.
enum { WORTH_A_THREAD = 1 << 14 };

// Kept as long as the process lives; equal ones are made once.
template <class Made, class real> const Made &kept(int domain, long n) {
  static std::mutex lock;
  static std::map<std::pair<int, long>, Made *> all;
  std::lock_guard<std::mutex> guard(lock);
  Made *&found = all[{domain, n}];
  if (!found) found = new Made(domain, n, real());
  return *found;
}

// `work(i)` for all `i`, on several threads where there is enough to do. A team even of one thread costs a system call.
template <class Work> void all(long count, bool worth_a_thread, Work work) {
  if (!worth_a_thread) {
    for (long i = 0; i < count; i++) work(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (long i = 0; i < count; i++) work(i);
}

// Memory of one thread, for all its transforms. Each begins with a cache line.
template <class real> real *memory(long which, size_t size) {
  static thread_local std::vector<real> all[3];
  if (all[which].size() < size + 64) all[which].resize(size + 64);
  return (real *)(((uintptr_t)all[which].data() + 63) & ~(uintptr_t)63);
}

} // namespace kutta_transforms

#endif
