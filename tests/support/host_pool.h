#pragma once
// A plain pool of threads, as a host has one, for tests of teams that borrow its threads.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/threads/thread_source.h"

namespace nibble {

class HostPool {
 public:
  explicit HostPool(int n) {
    for (int i = 0; i < n; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~HostPool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  HostExecutor executor() { return {this, &HostPool::submit, &HostPool::wait}; }
  ThreadSource source() { return {TeamKind::host, executor(), nullptr}; }
  int n_tasks() {
    const std::lock_guard lock(mutex_);
    return n_tasks_;
  }

 private:
  using Task = std::pair<void (*)(void*), void*>;

  static int submit(void* user, void (*task)(void*), void* arg, int n) {
    auto& pool = *static_cast<HostPool*>(user);
    {
      const std::lock_guard lock(pool.mutex_);
      for (int i = 0; i < n; ++i) pool.queue_.emplace_back(task, arg);
      pool.open_ += n;
      pool.n_tasks_ += n;
    }
    pool.wake_.notify_all();
    return n;
  }

  static void wait(void* user) {
    auto& pool = *static_cast<HostPool*>(user);
    std::unique_lock lock(pool.mutex_);
    pool.idle_.wait(lock, [&pool] { return pool.open_ == 0; });
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const Task task = queue_.front();
      queue_.pop_front();
      lock.unlock();
      task.first(task.second);
      lock.lock();
      if (--open_ == 0) idle_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Task> queue_;
  int open_ = 0;     // accepted and not returned
  int n_tasks_ = 0;  // ever accepted
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace nibble
