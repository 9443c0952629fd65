/*
 * The floor under the proxies of the benchmarks: an epoll loop that does the wire work of an HTTP/1.1 relay and nothing
 * else. It reads of each head only where the message ends, sends the bytes on as they came, keeps its connections to
 * the upstream in a pool, and holds a fast sender back for a slow reader. It chooses no target, counts nothing, checks
 * nothing and rewrites nothing: what a router costs more than this is the price of what it does more.
 *
 * Left out, since no load of the benchmarks asks for it: pipelining (such a client is cut off), upgrades, retries.
 *
 * usage: floor PORT UPSTREAM_PORT    (both on 127.0.0.1)
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32768
#define READ_BYTES (256 * 1024)
#define HEAD_BYTES_MAX 65536
#define EVENTS_MAX 512

enum phase { AWAIT_HEAD, IN_BODY, MESSAGE_ENDED };
enum framing { UNTIL_LENGTH, UNTIL_LAST_CHUNK, UNTIL_CLOSE };
enum chunk { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, TRAILER_START, TRAILER_LINE };

/* One socket; its number is its place in the table. */
typedef struct {
  bool open;
  bool is_upstream;
  /* What epoll watches it for. */
  uint32_t interest;
  /* The socket at the exchange's other side, or -1. */
  int peer;
  /* The message that is being read from it. */
  enum phase phase;
  enum framing framing;
  enum chunk chunk;
  uint64_t left;
  /* The message says that its connection ends with it. */
  bool last;
  /* The request that is being answered was HEAD. */
  bool is_head;
  /* Ends as soon as what is queued has gone out. */
  bool closing;
  /* The beginning of a head whose rest has not come. */
  char *partial;
  int partial_length;
  /* What the socket did not take yet: bytes [queue_start, queue_end). */
  char *queue;
  size_t queue_start, queue_end, queue_size;
} Connection;

static Connection connections[CONNECTIONS_MAX];
static int idle[CONNECTIONS_MAX];
static int idle_count;
static int epoll;
static struct sockaddr_in upstream_address;
static const int one = 1;
/* A partial head is put before what is read. */
static char buffer[HEAD_BYTES_MAX + READ_BYTES];

static void watch(int fd, uint32_t interest) {
  Connection *c = &connections[fd];
  if (c->interest == interest) return;
  struct epoll_event event = {.events = interest, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
  c->interest = interest;
}

static void adopt(int fd, bool is_upstream) {
  Connection *c = &connections[fd];
  *c = (Connection){.open = true, .is_upstream = is_upstream, .interest = EPOLLIN, .peer = -1};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void drop(int fd) {
  Connection *c = &connections[fd];
  if (!c->open) return;
  c->open = false;
  free(c->partial);
  free(c->queue);
  if (c->is_upstream && c->peer < 0) {
    for (int i = 0; i < idle_count; i++) {
      if (idle[i] != fd) continue;
      idle[i] = idle[--idle_count];
      break;
    }
  }
  close(fd);
}

/* Ends both sides of an exchange that can't go on. */
static void cut(int fd) {
  int peer = connections[fd].peer;
  if (peer >= 0) drop(peer);
  drop(fd);
}

/* Sends, and queues what the socket does not take; the sender of what is queued is not read until it is gone. */
static bool send_to(int fd, const char *bytes, size_t length) {
  Connection *c = &connections[fd];
  if (c->queue_start == c->queue_end) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent > 0) {
      bytes += sent;
      length -= (size_t)sent;
    }
    if (length == 0) return true;
    c->queue_start = c->queue_end = 0;
  }
  if (c->queue_size - c->queue_end < length) {
    size_t waiting = c->queue_end - c->queue_start;
    if (waiting > 0) memmove(c->queue, c->queue + c->queue_start, waiting);
    c->queue_start = 0;
    c->queue_end = waiting;
    if (c->queue_size < waiting + length) {
      char *grown = realloc(c->queue, waiting + length);
      if (grown == NULL) return false;
      c->queue = grown;
      c->queue_size = waiting + length;
    }
  }
  memcpy(c->queue + c->queue_end, bytes, length);
  c->queue_end += length;
  watch(fd, c->interest | EPOLLOUT);
  if (c->peer >= 0) watch(c->peer, connections[c->peer].interest & ~(uint32_t)EPOLLIN);
  return true;
}

static void writable(int fd) {
  Connection *c = &connections[fd];
  while (c->queue_start < c->queue_end) {
    ssize_t sent = send(fd, c->queue + c->queue_start, c->queue_end - c->queue_start, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) cut(fd);
      return;
    }
    c->queue_start += (size_t)sent;
  }
  if (c->closing) {
    drop(fd);
    return;
  }
  watch(fd, c->interest & ~(uint32_t)EPOLLOUT);
  if (c->peer >= 0) watch(c->peer, connections[c->peer].interest | EPOLLIN);
}

static bool names(const char *line, const char *end, const char *name, size_t length) {
  return (size_t)(end - line) > length && strncasecmp(line, name, length) == 0 && line[length] == ':';
}

/* Reads what a head says of its body; its length, 0 when it is not whole yet. */
static int read_head(Connection *c, const char *bytes, int length) {
  const char *end = memmem(bytes, (size_t)length, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  bool has_length = false, chunked = false;
  c->left = 0;
  c->last = false;
  const char *line = memchr(bytes, '\n', (size_t)length);
  while (line != NULL && ++line < end) {
    const char *next = memchr(line, '\n', (size_t)(bytes + length - line));
    int first = *line | 32;
    if (first == 'c') {
      if (names(line, end, "content-length", 14)) {
        has_length = true;
        c->left = strtoull(line + 15, NULL, 10);
      } else if (names(line, end, "connection", 10) && next != NULL) {
        c->last = memmem(line, (size_t)(next - line), "close", 5) != NULL;
      }
    } else if (first == 't') {
      chunked |= names(line, end, "transfer-encoding", 17);
    }
    line = next;
  }
  c->chunk = CHUNK_SIZE;
  c->phase = IN_BODY;
  c->framing = UNTIL_LENGTH;
  if (chunked) {
    c->framing = UNTIL_LAST_CHUNK;
    c->left = 0;
  } else if (c->is_upstream) {
    // `HTTP/1.1 204`: the status stands at a fixed place.
    const char *status = bytes + 9;
    if (*status == '1') c->phase = AWAIT_HEAD;
    else if (c->is_head || memcmp(status, "204", 3) == 0 || memcmp(status, "304", 3) == 0) c->left = 0;
    else if (!has_length) c->framing = UNTIL_CLOSE;
  }
  return (int)(end + 4 - bytes);
}

static int hex(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 32;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Follows the chunked coding to its end; how many bytes belong to the message, -1 when it is no chunked body. */
static int read_chunks(Connection *c, const char *bytes, int length) {
  int at = 0;
  while (at < length) {
    if (c->chunk == CHUNK_DATA) {
      uint64_t take = (uint64_t)(length - at) < c->left ? (uint64_t)(length - at) : c->left;
      at += (int)take;
      c->left -= take;
      if (c->left == 0) c->chunk = CHUNK_DATA_END;
      continue;
    }
    char byte = bytes[at++];
    switch (c->chunk) {
      case CHUNK_SIZE:
        if (hex(byte) >= 0) {
          c->left = c->left * 16 + (uint64_t)hex(byte);
          break;
        }
        if (byte != '\n') {
          c->chunk = CHUNK_EXTENSION;
          break;
        }
        return -1;
      case CHUNK_EXTENSION:
        if (byte == '\n') c->chunk = c->left > 0 ? CHUNK_DATA : TRAILER_START;
        break;
      case CHUNK_DATA_END:
        if (byte == '\n') c->chunk = CHUNK_SIZE;
        break;
      case TRAILER_START:
        if (byte == '\n') {
          c->phase = MESSAGE_ENDED;
          return at;
        }
        if (byte != '\r') c->chunk = TRAILER_LINE;
        break;
      default:
        if (byte == '\n') c->chunk = TRAILER_START;
        break;
    }
  }
  return at;
}

static int read_body(Connection *c, const char *bytes, int length) {
  if (c->framing == UNTIL_CLOSE) return length;
  if (c->framing == UNTIL_LAST_CHUNK) return read_chunks(c, bytes, length);
  int take = (uint64_t)length < c->left ? length : (int)c->left;
  c->left -= (uint64_t)take;
  if (c->left == 0) c->phase = MESSAGE_ENDED;
  return take;
}

/* How many bytes may be sent on; -1 when this is not HTTP. A head that is not whole is kept. */
static int read_message(Connection *c, const char *bytes, int length) {
  int at = 0;
  while (c->phase == AWAIT_HEAD && at < length) {
    int head = read_head(c, bytes + at, length - at);
    if (head == 0) {
      c->partial_length = length - at;
      if (c->partial_length >= HEAD_BYTES_MAX) return -1;
      c->partial = malloc((size_t)c->partial_length);
      if (c->partial == NULL) return -1;
      memcpy(c->partial, bytes + at, (size_t)c->partial_length);
      return at;
    }
    at += head;
  }
  if (c->phase != IN_BODY) return at;
  int body = read_body(c, bytes + at, length - at);
  return body < 0 ? -1 : at + body;
}

/* The connection to the upstream that was used last, or a new one; -1 when there is none. */
static int take_upstream(void) {
  if (idle_count > 0) return idle[--idle_count];
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  bool refused = connect(fd, (struct sockaddr *)&upstream_address, sizeof upstream_address) != 0 && errno != EINPROGRESS;
  if (fd >= CONNECTIONS_MAX || refused) {
    close(fd);
    return -1;
  }
  adopt(fd, true);
  return fd;
}

static void request_bytes(int fd, int length) {
  Connection *c = &connections[fd];
  if (c->phase == MESSAGE_ENDED) {
    cut(fd);
    return;
  }
  bool begins = c->phase == AWAIT_HEAD;
  int taken = read_message(c, buffer, length);
  if (taken < 0 || taken + c->partial_length < length) {
    cut(fd);
    return;
  }
  if (taken == 0) return;
  if (begins) {
    int upstream = take_upstream();
    if (upstream < 0) {
      cut(fd);
      return;
    }
    c->peer = upstream;
    connections[upstream].peer = fd;
    connections[upstream].is_head = memcmp(buffer, "HEAD ", 5) == 0;
  }
  if (!send_to(c->peer, buffer, (size_t)taken)) cut(fd);
}

/* The answer is whole: the client may ask again, the connection to the upstream waits for the next exchange. */
static void end_exchange(int fd, bool reusable) {
  Connection *upstream = &connections[fd];
  Connection *client = &connections[upstream->peer];
  int client_fd = upstream->peer;
  bool request_ended = client->phase == MESSAGE_ENDED && upstream->queue_start == upstream->queue_end;
  bool last = client->last || upstream->last || !request_ended;
  client->peer = -1;
  client->phase = AWAIT_HEAD;
  upstream->peer = -1;
  upstream->phase = AWAIT_HEAD;
  if (reusable && request_ended && !upstream->last) {
    watch(fd, EPOLLIN);
    idle[idle_count++] = fd;
  } else {
    drop(fd);
  }
  if (!last) watch(client_fd, client->interest | EPOLLIN);
  else if (client->queue_start < client->queue_end) client->closing = true;
  else drop(client_fd);
}

static void answer_bytes(int fd, int length) {
  Connection *c = &connections[fd];
  if (c->peer < 0) {
    drop(fd);
    return;
  }
  int taken = read_message(c, buffer, length);
  if (taken < 0 || (taken > 0 && !send_to(c->peer, buffer, (size_t)taken))) {
    cut(fd);
    return;
  }
  if (c->phase == MESSAGE_ENDED) end_exchange(fd, taken == length);
}

static void ended(int fd) {
  Connection *c = &connections[fd];
  bool answer_ended = c->is_upstream && c->peer >= 0 && c->phase == IN_BODY && c->framing == UNTIL_CLOSE;
  if (!answer_ended) {
    cut(fd);
    return;
  }
  c->last = true;
  end_exchange(fd, false);
}

static void readable(int fd) {
  Connection *c = &connections[fd];
  int kept = c->partial_length;
  ssize_t got = recv(fd, buffer + kept, READ_BYTES, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    ended(fd);
    return;
  }
  if (kept > 0) {
    memcpy(buffer, c->partial, (size_t)kept);
    free(c->partial);
    c->partial = NULL;
    c->partial_length = 0;
  }
  if (c->is_upstream) answer_bytes(fd, kept + (int)got);
  else request_bytes(fd, kept + (int)got);
}

static void accept_all(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    if (fd >= CONNECTIONS_MAX) close(fd);
    else adopt(fd, false);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  upstream_address = address;
  upstream_address.sin_port = htons((unsigned short)atoi(argv[2]));
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) {
    perror("floor: listen");
    return 1;
  }
  epoll = epoll_create1(0);
  struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(listener);
        continue;
      }
      // An event of a socket that was closed meanwhile, or whose number another has now, finds nothing to do.
      if (connections[fd].open && (events[i].events & EPOLLOUT) != 0) writable(fd);
      if (connections[fd].open && (events[i].events & ~(uint32_t)EPOLLOUT) != 0) readable(fd);
    }
  }
}
