/*
 * The fixed upstream that every proxy of the benchmark stands in front of: an epoll loop that reads HTTP/1.1 requests
 * with a Content-Length and answers each with the same small JSON body. As cheap as a server can be, so that what is
 * measured is the proxy.
 *
 * usage: upstream PORT [ADDRESS]    (0.0.0.0 answers on all of 127.0.0.0/8: many targets from one process)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 8192
#define BUFFER_BYTES 65536

typedef struct {
  char *bytes;
  int length;
} Connection;

static Connection connections[CONNECTIONS_MAX];

static const char BODY[] =
    "{\"id\":\"chatcmpl-0123456789abcdef01234567\",\"object\":\"chat.completion\",\"created\":1730000000,"
    "\"model\":\"llama-3-8b\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"Hello! How can I help you today?\"},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}}";

static char response[1024];
static int response_length;

/* Answers every whole request in the buffer; -1 when the connection is to be closed. */
static int answer(int fd, Connection *c) {
  for (;;) {
    char *end = memmem(c->bytes, c->length, "\r\n\r\n", 4);
    if (end == NULL) return c->length == BUFFER_BYTES ? -1 : 0;
    int head = (int)(end + 4 - c->bytes);
    *end = 0;
    char *field = strcasestr(c->bytes, "\r\ncontent-length:");
    int total = head + (field == NULL ? 0 : atoi(field + 17));
    *end = '\r';
    if (total > BUFFER_BYTES) return -1;
    if (c->length < total) return 0;
    if (send(fd, response, response_length, MSG_NOSIGNAL) != response_length) return -1;
    memmove(c->bytes, c->bytes + total, c->length - total);
    c->length -= total;
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  response_length = snprintf(response, sizeof response,
                             "HTTP/1.1 200 OK\r\nServer: upstream\r\nContent-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n%s",
                             sizeof BODY - 1, BODY);
  int one = 1;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)atoi(argv[1])),
                                .sin_addr.s_addr = inet_addr(argc > 2 ? argv[2] : "127.0.0.1")};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) {
    perror("upstream: listen");
    return 1;
  }
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  struct epoll_event events[256];
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, -1);
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
          event.events = EPOLLIN;
          event.data.fd = accepted;
          epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event);
        }
        continue;
      }
      Connection *c = &connections[fd];
      ssize_t got = recv(fd, c->bytes + c->length, BUFFER_BYTES - c->length, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        close(fd);
        continue;
      }
      c->length += (int)got;
      c->bytes[c->length] = 0;
      if (answer(fd, c) != 0) close(fd);
    }
  }
}
