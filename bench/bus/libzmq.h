/* The few functions of libzmq that are needed here, declared by hand: pyzmq brings the library, but no header. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

void *zmq_ctx_new(void);
int zmq_ctx_set(void *context, int option, int value);
int zmq_ctx_term(void *context);
void *zmq_socket(void *context, int kind);
int zmq_setsockopt(void *socket, int option, const void *value, size_t size);
int zmq_bind(void *socket, const char *endpoint);
int zmq_connect(void *socket, const char *endpoint);
int zmq_close(void *socket);
int zmq_send(void *socket, const void *bytes, size_t size, int flags);
int zmq_recv(void *socket, void *bytes, size_t size, int flags);
int zmq_errno(void);
const char *zmq_strerror(int number);
typedef struct { void *socket; int fd; short events, revents; } zmq_pollitem_t;
int zmq_poll(zmq_pollitem_t *items, int count, long milliseconds);

enum { ZMQ_MAX_SOCKETS = 2, ZMQ_DEALER = 5, ZMQ_ROUTER = 6, ZMQ_LINGER = 17, ZMQ_SNDHWM = 23, ZMQ_RCVHWM = 24, ZMQ_RCVTIMEO = 27 };
enum { ZMQ_DONTWAIT = 1, ZMQ_SNDMORE = 2, ZMQ_POLLIN = 1 };
enum { HWM = 100000 };  /* as streamrnn serve has it */

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static void *open_socket(void *context, int kind) {
    void *socket = zmq_socket(context, kind);
    int hwm = HWM, linger = 0;
    if (!socket) die("no socket");
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    return socket;
}

static void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
