/*
 * The fixed upstream of the stream benchmarks: an epoll loop that answers every request with a chunked event stream,
 * one event in one chunk in one write, at fixed intervals. Each event carries the moment of its writing
 * (CLOCK_MONOTONIC, nanoseconds), by which sse-load.c, on the same machine, knows how long it was under way.
 *
 * The first event of each stream comes after a different part of an interval, so that streams that begin together do
 * not write together ever after.
 *
 * usage: sse-upstream PORT GAP_US EVENTS    (time between the events of a stream, events of a stream)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16384
#define BUFFER_BYTES 16384
#define EVENTS_MAX 256
/* Of an event with its `data: ` and its empty line. */
#define EVENT_BYTES 240
/* A step through [0, 2^32) that leaves no gap: 2^32 times the golden ratio's fraction. */
#define PHASE_STEP 2654435769u

typedef struct {
  char *bytes;
  int length;
  /* Events that are still to be written; 0 when no stream is under way. */
  int left;
  uint64_t due;
  /* Where the stream stands in the heap. */
  int place;
} Connection;

static Connection connections[CONNECTIONS_MAX];
/* Streams under way, the one that is due next first: a binary heap of descriptors. */
static int heap[CONNECTIONS_MAX];
static int heap_length;
static uint64_t gap;
static int events_each;
static uint32_t phase;
static char text[EVENT_BYTES + 1];
static int stamp_at;

static const char HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
static const char LAST[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void put(int place, int fd) {
  heap[place] = fd;
  connections[fd].place = place;
}

static void sift(int place) {
  int fd = heap[place];
  uint64_t due = connections[fd].due;
  while (place > 0 && connections[heap[(place - 1) / 2]].due > due) {
    put(place, heap[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  for (;;) {
    int child = place * 2 + 1;
    if (child >= heap_length) break;
    if (child + 1 < heap_length && connections[heap[child + 1]].due < connections[heap[child]].due) child++;
    if (connections[heap[child]].due >= due) break;
    put(place, heap[child]);
    place = child;
  }
  put(place, fd);
}

static void leave_heap(int fd) {
  int place = connections[fd].place;
  int last = heap[--heap_length];
  if (last == fd) return;
  put(place, last);
  sift(place);
}

static void end(int fd) {
  if (connections[fd].left > 0) leave_heap(fd);
  connections[fd].left = 0;
  close(fd);
}

/* Every byte but the stamp is the same in all events. */
static void make_event(void) {
  int used = snprintf(text, sizeof text,
                      "data: {\"id\":\"chatcmpl-0123456789abcdef01234567\",\"object\":\"chat.completion.chunk\","
                      "\"created\":1730000000,\"model\":\"llama-3-8b\",\"choices\":[{\"index\":0,\"delta\":"
                      "{\"content\":\" token\"},\"finish_reason\":null}],\"stamp\":\"@");
  stamp_at = used;
  int pad = EVENT_BYTES - used - 20 - 4;
  snprintf(text + used, sizeof text - (size_t)used, "%020d%*s\"}\n\n", 0, pad, "");
}

static bool write_event(int fd) {
  Connection *c = &connections[fd];
  char out[EVENT_BYTES + sizeof LAST + 16];
  char stamp[21];
  snprintf(stamp, sizeof stamp, "%020llu", (unsigned long long)now());
  memcpy(text + stamp_at, stamp, 20);
  int length = snprintf(out, sizeof out, "%x\r\n%s\r\n", EVENT_BYTES, text);
  if (--c->left == 0) {
    memcpy(out + length, LAST, sizeof LAST - 1);
    length += (int)sizeof LAST - 1;
  }
  return send(fd, out, (size_t)length, MSG_NOSIGNAL) == length;
}

static void write_due(void) {
  uint64_t time = now();
  while (heap_length > 0 && connections[heap[0]].due <= time) {
    int fd = heap[0];
    Connection *c = &connections[fd];
    bool written = write_event(fd);
    if (c->left == 0) leave_heap(fd);
    // A reader that does not keep up for so long that its buffers are full is an error of the run.
    if (!written) {
      end(fd);
    } else if (c->left > 0) {
      c->due += gap;
      sift(0);
    }
  }
}

/* Begins a stream for a whole request; -1 when the connection is to be closed. */
static int answer(int fd, Connection *c) {
  char *head_end = memmem(c->bytes, (size_t)c->length, "\r\n\r\n", 4);
  if (head_end == NULL) return c->length == BUFFER_BYTES ? -1 : 0;
  *head_end = 0;
  char *field = strcasestr(c->bytes, "\r\ncontent-length:");
  *head_end = '\r';
  int total = (int)(head_end + 4 - c->bytes) + (field == NULL ? 0 : atoi(field + 17));
  if (total > BUFFER_BYTES) return -1;
  if (c->length < total) return 0;
  if (c->left > 0 || c->length > total) return -1;
  c->length = 0;
  if (send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL) != (ssize_t)sizeof HEAD - 1) return -1;
  phase += PHASE_STEP;
  c->left = events_each;
  c->due = now() + (gap * phase >> 32);
  heap[heap_length++] = fd;
  c->place = heap_length - 1;
  sift(c->place);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  gap = (uint64_t)atoi(argv[2]) * 1000;
  events_each = atoi(argv[3]);
  make_event();
  // Timers of this process fire when they are due, not up to 50 us later.
  prctl(PR_SET_TIMERSLACK, 1);
  int one = 1;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) {
    perror("sse-upstream: listen");
    return 1;
  }
  int epoll = epoll_create1(0);
  struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct timespec wait = {0, 0};
    if (heap_length > 0) {
      uint64_t time = now(), due = connections[heap[0]].due;
      if (due > time) wait = (struct timespec){(time_t)((due - time) / 1000000000u), (long)((due - time) % 1000000000u)};
    }
    int ready = epoll_pwait2(epoll, events, EVENTS_MAX, heap_length > 0 ? &wait : NULL, NULL);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int accepted;
        while ((accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          if (accepted >= CONNECTIONS_MAX) {
            close(accepted);
            continue;
          }
          setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          Connection *c = &connections[accepted];
          if (c->bytes == NULL) c->bytes = malloc(BUFFER_BYTES + 1);
          c->length = 0;
          c->left = 0;
          event.events = EPOLLIN;
          event.data.fd = accepted;
          epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event);
        }
        continue;
      }
      Connection *c = &connections[fd];
      ssize_t got = recv(fd, c->bytes + c->length, (size_t)(BUFFER_BYTES - c->length), 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        end(fd);
        continue;
      }
      c->length += (int)got;
      c->bytes[c->length] = 0;
      if (answer(fd, c) != 0) end(fd);
    }
    write_due();
  }
}
