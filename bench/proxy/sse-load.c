/*
 * The load of the stream benchmarks: so many streams at once, each begun anew when it ends, and of every event the time
 * from its stamp (see sse-upstream.c) to the return of the read that brought it.
 *
 * It decodes the chunked coding, since a proxy may cut the chunks anew, and counts as an error whatever is not a whole
 * stream behind a status of 200: a closed connection, a broken framing, an end without the last event.
 *
 * usage: sse-load PORT STREAMS SECONDS    prints one line of JSON
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define READ_BYTES 131072
#define STAMP_DIGITS 20
/* Delays are counted in steps of 100 ns up to 200 ms; longer ones count as that long. */
#define STEP_NS 100
#define STEPS 2000000

enum phase { HEAD, CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, TRAILER_START, TRAILER_LINE };

typedef struct {
  int fd;
  enum phase phase;
  /* The first bytes of the head, and how much of its end was seen. */
  char status[12];
  int status_length;
  int end_length;
  uint64_t left;
  /* Digits of a stamp so far; -1 outside. */
  int digits;
  uint64_t stamp;
  uint64_t events;
} Stream;

static char request[4096];
static int request_length;
static uint32_t *delays;
static uint64_t chunks, reads, streams, errors, delay_sum;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void begin(Stream *s) {
  s->phase = HEAD;
  s->status_length = 0;
  s->end_length = 0;
  s->left = 0;
  s->digits = -1;
  s->events = 0;
  if (send(s->fd, request, (size_t)request_length, MSG_NOSIGNAL) != request_length) errors++;
}

static void take_stamp(Stream *s, uint64_t time) {
  uint64_t delay = time > s->stamp ? time - s->stamp : 0;
  uint64_t step = delay / STEP_NS;
  delays[step < STEPS ? step : STEPS - 1]++;
  delay_sum += delay;
  chunks++;
  s->events++;
  s->digits = -1;
}

static void read_data(Stream *s, const char *bytes, int length, uint64_t time) {
  int at = 0;
  while (at < length) {
    if (s->digits < 0) {
      const char *mark = memchr(bytes + at, '@', (size_t)(length - at));
      if (mark == NULL) return;
      at = (int)(mark - bytes) + 1;
      s->digits = 0;
      s->stamp = 0;
      continue;
    }
    s->stamp = s->stamp * 10 + (uint64_t)(bytes[at++] - '0');
    if (++s->digits == STAMP_DIGITS) take_stamp(s, time);
  }
}

static int hex(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 32;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool read_head_byte(Stream *s, char byte) {
  static const char END[] = "\r\n\r\n";
  if (s->status_length < (int)sizeof s->status) s->status[s->status_length++] = byte;
  s->end_length = byte == END[s->end_length] ? s->end_length + 1 : byte == '\r' ? 1 : 0;
  if (s->end_length < 4) return true;
  s->phase = CHUNK_SIZE;
  return memcmp(s->status, "HTTP/1.1 200", sizeof s->status) == 0;
}

/* False when this is no stream; `*ended` when it ended as it should. */
static bool read_stream(Stream *s, const char *bytes, int length, uint64_t time, bool *ended) {
  int at = 0;
  while (at < length) {
    if (s->phase == CHUNK_DATA) {
      int take = (uint64_t)(length - at) < s->left ? length - at : (int)s->left;
      read_data(s, bytes + at, take, time);
      at += take;
      s->left -= (uint64_t)take;
      if (s->left == 0) s->phase = CHUNK_DATA_END;
      continue;
    }
    char byte = bytes[at++];
    switch (s->phase) {
      case HEAD:
        if (!read_head_byte(s, byte)) return false;
        break;
      case CHUNK_SIZE:
        if (hex(byte) >= 0) s->left = s->left * 16 + (uint64_t)hex(byte);
        else if (byte == '\n') return false;
        else s->phase = CHUNK_EXTENSION;
        break;
      case CHUNK_EXTENSION:
        if (byte == '\n') s->phase = s->left > 0 ? CHUNK_DATA : TRAILER_START;
        break;
      case CHUNK_DATA_END:
        if (byte == '\n') s->phase = CHUNK_SIZE;
        break;
      case TRAILER_START:
        if (byte == '\n') {
          *ended = true;
          return at == length && s->events > 0;
        }
        if (byte != '\r') s->phase = TRAILER_LINE;
        break;
      default:
        if (byte == '\n') s->phase = TRAILER_START;
        break;
    }
  }
  return true;
}

/* The delay below which this share of the events stayed, in microseconds. */
static double quantile(double share) {
  uint64_t rank = (uint64_t)((double)chunks * share), seen = 0;
  for (int step = 0; step < STEPS; step++) {
    seen += delays[step];
    if (seen > rank) return step * (STEP_NS / 1000.0);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int count = atoi(argv[2]);
  double seconds = atof(argv[3]);
  delays = calloc(STEPS, sizeof *delays);
  Stream *all = calloc((size_t)count, sizeof *all);
  static char body[1100];
  int body_length =
      snprintf(body, sizeof body,
               "{\"model\":\"llama-3-8b\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%0900d\"}]}", 1);
  request_length = snprintf(request, sizeof request,
                            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                            "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
                            "Authorization: Bearer sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
                            "User-Agent: OpenAI/Python 1.54.0\r\nContent-Length: %d\r\n\r\n%s",
                            body_length, body);
  int epoll = epoll_create1(0);
  int one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < count; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
      perror("sse-load: connect");
      return 1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    all[i].fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  for (int i = 0; i < count; i++) begin(&all[i]);
  static char buffer[READ_BYTES];
  struct epoll_event events[EVENTS_MAX];
  uint64_t from = now(), until = from + (uint64_t)(seconds * 1e9), time;
  while ((time = now()) < until) {
    int ready = epoll_wait(epoll, events, EVENTS_MAX, 50);
    for (int i = 0; i < ready; i++) {
      Stream *s = &all[events[i].data.u32];
      ssize_t got = recv(s->fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      reads++;
      bool over = false;
      bool good = got > 0 && read_stream(s, buffer, (int)got, now(), &over);
      if (!good) {
        if (errors++ == 0) {
          fprintf(stderr, "the first error: %zd bytes read behind %.*s and %llu events: %.*s\n", got, s->status_length,
                  s->status, (unsigned long long)s->events, got > 0 ? (int)got : 0, buffer);
        }
        epoll_ctl(epoll, EPOLL_CTL_DEL, s->fd, NULL);
        close(s->fd);
      } else if (over) {
        streams++;
        begin(s);
      }
    }
  }
  printf("{\"seconds\":%.3f,\"chunks\":%llu,\"reads\":%llu,\"streams\":%llu,\"errors\":%llu,"
         "\"meanUs\":%.1f,\"p50Us\":%.1f,\"p99Us\":%.1f}\n",
         (double)(now() - from) / 1e9, (unsigned long long)chunks, (unsigned long long)reads,
         (unsigned long long)streams, (unsigned long long)errors, chunks > 0 ? (double)delay_sum / (double)chunks / 1000 : 0,
         quantile(0.5), quantile(0.99));
}
