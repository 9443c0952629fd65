// Uses what the shim takes over of libstdc++, and looks at what comes of it: containers against plain ones and against
// their own invariants, casts across every kind of inheritance, statics and condition variables among threads. It is run
// with libstdc++ and, by LD_PRELOAD, with the shim.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
#include <dlfcn.h>

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      std::printf("line %d: %s\n", __LINE__, #condition); \
      std::exit(1); \
    } \
  } while (0)

// ---- trees ----

struct Node {
  int colour;
  Node *parent, *left, *right;
};
enum { RED, BLACK };

// The number of black nodes on each way down, which must be the same for all.
static int blackHeight(const Node *node, const Node *parent) {
  if (node == nullptr) return 1;
  CHECK(node->parent == parent);
  if (node->colour == RED) {
    CHECK(node->left == nullptr || node->left->colour == BLACK);
    CHECK(node->right == nullptr || node->right->colour == BLACK);
  }
  const int left = blackHeight(node->left, node), right = blackHeight(node->right, node);
  CHECK(left == right);
  return left + (node->colour == BLACK);
}

template <class Tree>
static void checkTree(Tree &tree) {
  // Behind the comparison, which is empty.
  const Node *header = reinterpret_cast<const Node *>(reinterpret_cast<const char *>(&tree) + 8);
  if (header->parent == nullptr) {
    CHECK(header->left == header && header->right == header);
    return;
  }
  CHECK(header->parent->colour == BLACK && header->parent->parent == header);
  const Node *first = header->parent, *last = header->parent;
  while (first->left != nullptr) first = first->left;
  while (last->right != nullptr) last = last->right;
  CHECK(header->left == first && header->right == last);
  blackHeight(header->parent, header);
}

static void trees() {
  std::mt19937 random(42);
  for (int round = 0; round < 120; round++) {
    std::map<int, int> map;
    std::vector<int> sorted;
    const int range = 1 + static_cast<int>(random() % 400);
    for (int step = 0; step < 500; step++) {
      const int key = static_cast<int>(random() % static_cast<unsigned>(range));
      const auto at = std::lower_bound(sorted.begin(), sorted.end(), key);
      const bool isThere = at != sorted.end() && *at == key;
      if (random() % (static_cast<unsigned>(round) % 3 + 2) != 0) {
        if (!isThere) sorted.insert(at, key);
        CHECK(map.emplace(key, key).second == !isThere);
      } else {
        if (isThere) sorted.erase(at);
        CHECK(map.erase(key) == static_cast<size_t>(isThere));
      }
      if (step % 7 == 0) checkTree(map);
      CHECK(map.size() == sorted.size());
    }
    checkTree(map);
    size_t index = 0;
    for (const auto &entry : map) CHECK(entry.first == sorted[index++]);
    for (auto it = map.rbegin(); it != map.rend(); ++it) CHECK(it->first == sorted[--index]);
    if (!map.empty()) {
      auto end = map.end();
      --end;
      CHECK(end->first == sorted.back());
    }
    while (!map.empty()) {
      auto it = map.begin();
      std::advance(it, random() % map.size());
      map.erase(it);
      if (map.size() % 5 == 0) checkTree(map);
    }
  }
}

// ---- hash tables, lists ----

static void tables() {
  constexpr int COUNT = 100000;
  std::unordered_map<std::string, int> map;
  size_t buckets = 0, growths = 0;
  for (int i = 0; i < COUNT; i++) {
    map["key" + std::to_string(i)] = i;
    if (map.bucket_count() == buckets) continue;
    buckets = map.bucket_count();
    growths++;
    CHECK(map.load_factor() <= 1.0f);
  }
  for (int i = 0; i < COUNT; i++) CHECK(map.at("key" + std::to_string(i)) == i);
  size_t longest = 0;
  for (size_t bucket = 0; bucket < map.bucket_count(); bucket++) longest = std::max(longest, map.bucket_size(bucket));
  // It grows by a factor, and the hash spreads.
  CHECK(growths < 30 && longest < 14);

  std::unordered_map<int, int> reserved;
  reserved.reserve(1000);
  const size_t before = reserved.bucket_count();
  for (int i = 0; i < 1000; i++) reserved[i] = i;
  CHECK(before >= 1000 && reserved.bucket_count() == before);

  std::unordered_map<int, int> sparse;
  sparse.max_load_factor(0.25f);
  for (int i = 0; i < 1000; i++) sparse[i] = i;
  CHECK(sparse.load_factor() <= 0.25f);
  sparse.rehash(0);
  for (int i = 0; i < 1000; i += 2) sparse.erase(i);
  CHECK(sparse.size() == 500);

  std::list<int> list;
  for (int i = 0; i < 100; i++) i % 2 == 1 ? list.push_back(i) : list.push_front(i);
  list.remove_if([](int value) { return value % 3 == 0; });
  int sum = 0;
  for (int value : list) sum += value;
  CHECK(list.size() == 66 && sum == 4950 - 1683);
}

// ---- threads ----

static std::atomic<int> made{0};
struct Slow {
  Slow() {
    made++;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
};

static void threads() {
  std::mutex mutex;
  std::condition_variable turned;
  int turn = 0, turns = 0;
  std::vector<std::thread> all;
  for (int own = 0; own < 4; own++) {
    all.emplace_back([&, own] {
      for (int i = 0; i < 200; i++) {
        std::unique_lock lock(mutex);
        turned.wait(lock, [&] { return turn == own; });
        turns++;
        turn = (turn + 1) % 4;
        turned.notify_all();
      }
    });
  }
  for (auto &thread : all) thread.join();
  CHECK(turns == 800);

  all.clear();
  for (int i = 0; i < 8; i++) {
    all.emplace_back([] {
      static Slow slow;
      (void)slow;
      CHECK(made == 1);
    });
  }
  for (auto &thread : all) thread.join();
  CHECK(made == 1);

  const auto before = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(std::chrono::steady_clock::now() - before >= std::chrono::milliseconds(20));
}

// ---- casts ----

struct A { virtual ~A() {} int a = 1; };
struct B { virtual ~B() {} int b = 2; };
struct C : A, B { int c = 3; };
struct D : C { int d = 4; };
struct Virtual { virtual ~Virtual() {} int v = 5; };
struct Left : virtual Virtual { int l = 6; };
struct Right : virtual Virtual { int r = 7; };
struct Diamond : Left, Right { int n = 8; };
struct First : A { int f = 9; };
struct Second : A { int s = 10; };
struct TwiceA : First, Second {};
struct Hidden : private A, public B { A *asA() { return this; } };
struct Other { virtual ~Other() {} };

template <class To, class From>
__attribute__((noinline)) static To *cast(From *from) {
  return dynamic_cast<To *>(from);
}

static void casts() {
  D d;
  A *a = &d;
  B *b = &d;
  CHECK(cast<D>(a) == &d && cast<D>(b) == &d && cast<C>(b) == &d);
  CHECK(cast<B>(a) == b && cast<A>(b) == a && cast<Other>(a) == nullptr && cast<void>(b) == static_cast<void *>(&d));
  C c;
  b = &c;
  CHECK(cast<D>(b) == nullptr && cast<C>(b) == &c);

  Diamond diamond;
  Virtual *top = &diamond;
  Left *left = &diamond;
  Right *right = &diamond;
  CHECK(cast<Diamond>(top) == &diamond && cast<Left>(top) == left && cast<Right>(top) == right);
  CHECK(cast<D>(top) == nullptr && cast<Right>(left) == right && cast<Diamond>(left) == &diamond);

  TwiceA twice;
  First *first = &twice;
  Second *second = &twice;
  A *viaFirst = first, *viaSecond = second;
  CHECK(cast<First>(viaFirst) == first && cast<Second>(viaFirst) == second && cast<Second>(viaSecond) == second);
  CHECK(cast<TwiceA>(viaSecond) == &twice && cast<Second>(first) == second);

  Hidden hidden;
  A *privately = hidden.asA();
  B *publicly = &hidden;
  CHECK(cast<B>(privately) == nullptr && cast<Hidden>(privately) == nullptr);
  CHECK(cast<A>(publicly) == nullptr && cast<Hidden>(publicly) == &hidden);
}

int main() {
  const char *names[] = {"_ZSt18_Rb_tree_incrementPSt18_Rb_tree_node_base", "__dynamic_cast", "__cxa_guard_acquire"};
  int ours = 0;
  for (const char *name : names) {
    Dl_info info;
    CHECK(dladdr(dlsym(RTLD_DEFAULT, name), &info) != 0);
    ours += std::strstr(info.dli_fname, "libshim") != nullptr;
  }
  CHECK(ours == 0 || ours == 3);
  std::printf("functions from %s\n", ours == 0 ? "libstdc++" : "the shim");
  std::fflush(stdout);
  trees();
  tables();
  threads();
  casts();
  std::puts("all as expected");
}
