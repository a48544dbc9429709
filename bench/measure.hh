#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

/// What all benchmarks need: time, samples, the cost of processes, and the floors of the machine in the same run.
namespace insomnia::bench {

using Time = std::chrono::steady_clock::time_point;
inline Time now() { return std::chrono::steady_clock::now(); }
inline double ms(Time from, Time to) { return std::chrono::duration<double, std::milli>(to - from).count(); }

class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  size_t count() const { return values_.size(); }
  double sum() const;
  double median() const { return quantile(0.5); }
  /// 0 is the smallest, 1 the largest; 0 of none.
  double quantile(double part) const;

 private:
  std::vector<double> values_;
};

/// One line: what, median, p99, smallest, largest, in milliseconds.
void print(std::string const& what, Samples const& samples);
/// One line: what, and how many of them in a second.
void print_rate(std::string const& what, size_t count, double ms);

/// Says what a run's figures are worth: processors, free memory and load at its beginning, and at its end what the processors did for
/// others meanwhile. Everything that was started must be reaped by then.
class Conditions {
 public:
  Conditions();
  ~Conditions();
  Conditions(Conditions const&) = delete;
  Conditions& operator=(Conditions const&) = delete;

 private:
  Time start_ = now();
  double busy_s_, stolen_s_;
};
/// Spawn and wait of /bin/true, curl's start to its request, and the syncs of this disk.
void print_floors(int rounds);
/// posix_spawn and wait of /bin/true, once.
double spawn_true_ms();

/// Of a file, in KiB; 0 when there is none.
double file_kib(std::string const& path);

/// MiB that the kernel could give to new processes.
double available_mib();

/// What processes cost, added up.
struct Cost {
  size_t processes = 0, threads = 0, descriptors = 0;
  double pss_kib = 0;
  double private_kib = 0;    ///< pages that no other process has now; of a lone process also those of its program
  double own_kib = 0;        ///< anonymous pages: what no other process could have
  uint64_t ticks = 0;        ///< user and system time, as the kernel counts it, in units of 10 ms
  double run_ms = 0;         ///< the same as the scheduler counts it, exact
  uint64_t wake_ups = 0;     ///< times that a thread was switched to
  Cost& operator+=(Cost const& other);
};
/// Of a process and all its threads. Everything 0 when it is gone.
Cost cost_of(pid_t pid);
/// The same without memory, which takes the kernel some milliseconds per process.
Cost activity_of(pid_t pid);
/// Processor time in ms that a process has used, by the names of its threads. Those that have ended are missing.
std::map<std::string, double> thread_ms(pid_t pid);

}  // namespace insomnia::bench
