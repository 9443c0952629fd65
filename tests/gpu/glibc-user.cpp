// A library in C++ with libstdc++ inside of it, as vendors link them: exceptions, thread_local objects, threads. What is
// wrong first is told by its line, 0 for nothing.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define CHECK(condition) \
  do { \
    if (!(condition)) return __LINE__; \
  } while (0)

static std::map<std::string, int> atStart{ { "one", 1 }, { "two", 2 } };
static std::atomic<int> ended{ 0 };

struct Ending {
  int number = 0;
  ~Ending() { ended += number; }
};
static thread_local Ending first, second;

static int deep(int depth) {
  std::string held(100, 'x');
  if (depth == 0) throw std::runtime_error("from below");
  return deep(depth - 1) + static_cast<int>(held.size());
}

extern "C" int glibcUserFault() {
  CHECK(atStart.size() == 2 && atStart["two"] == 2);
  try {
    deep(20);
    return __LINE__;
  } catch (const std::exception &error) {
    CHECK(std::string(error.what()) == "from below");
  }
  try {
    std::vector<int>(3).at(5);
    return __LINE__;
  } catch (const std::out_of_range &) {
  }

  std::vector<std::thread> threads;
  for (int i = 1; i <= 4; i++) {
    threads.emplace_back([i] {
      first.number = i;
      second.number = 10 * i;
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(ended == 110);

  std::mutex mutex;
  std::condition_variable condition;
  bool isReady = false;
  std::thread other([&] {
    std::lock_guard<std::mutex> lock(mutex);
    isReady = true;
    condition.notify_all();
  });
  {
    std::unique_lock<std::mutex> lock(mutex);
    CHECK(condition.wait_for(lock, std::chrono::seconds(30), [&] { return isReady; }));
    CHECK(!condition.wait_for(lock, std::chrono::milliseconds(5), [] { return false; }));
  }
  other.join();
  auto shared = std::make_shared<std::string>("counted");
  auto copy = shared;
  CHECK(shared.use_count() == 2 && std::to_string(12345) + *copy == "12345counted");
  return 0;
}
