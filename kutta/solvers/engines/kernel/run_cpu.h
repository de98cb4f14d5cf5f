// The entry on a processor: trajectories `first` up to `last`, by one thread.

extern "C" void run(const Job *job, long long first, long long last) {
  Block *block = new Block(*job, first, last); // too large for the stack of a thread
  for (block->fill(); block->busy; block->fill()) block->trial();
  delete block;
}
