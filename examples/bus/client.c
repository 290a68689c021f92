/* The bus from C: ten samples of one stream, one after the other. Start a server first:

       streamrnn serve plant.safetensors --listen tcp://127.0.0.1:5555

   and then (libzmq3-dev on Debian, zeromq on Homebrew; the model has 8 inputs and 1 output, or say how many)

       cc -O2 client.c -lzmq -lm -o client && ./client 8 1

   The msgpack is written by hand: the request is {"stream": "pump-8", "seq": n, "x": float32s as bytes}, and a plain result
   is {"stream", "seq", "y"} with y in the form that x had: a key's place is found by skipping what stands before it. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { MOST = 60 };  /* inputs: 4 * 60 bytes are the most that a bin8 takes */

static uint8_t *put_key(uint8_t *p, const char *text) {
    *p++ = 0xa0 | strlen(text);  /* a string of fewer than 32 bytes */
    return (uint8_t *)memcpy(p, text, strlen(text)) + strlen(text);
}

static int request(uint8_t *frame, const char *stream, uint32_t seq, const float *x, int inputs) {
    uint8_t *p = frame;
    *p++ = 0x83;  /* a map of three */
    p = put_key(put_key(p, "stream"), stream);
    p = put_key(p, "seq");
    *p++ = 0xce;  /* uint32, big endian */
    for (int byte = 3; byte >= 0; byte--) *p++ = seq >> 8 * byte;
    p = put_key(p, "x");
    *p++ = 0xc4;  /* up to 255 bytes */
    *p++ = 4 * inputs;
    memcpy(p, x, 4 * inputs);  /* float32, little endian, as this machine has them */
    return p + 4 * inputs - frame;
}

/* Size of a value of the few kinds that a result has. */
static int size_of(const uint8_t *p) {
    if (*p < 0x80 || *p >= 0xe0 || *p == 0xc0 || *p == 0xc2 || *p == 0xc3) return 1;  /* small int, nil, false, true */
    if ((*p & 0xe0) == 0xa0) return 1 + (*p & 0x1f);                                  /* short string */
    if (*p == 0xc4 || *p == 0xd9) return 2 + p[1];                                    /* bin or string below 256 bytes */
    if (*p == 0xda) return 3 + (p[1] << 8 | p[2]);                                    /* string below 65,536 bytes: a detail */
    if (*p >= 0xcc && *p <= 0xcf) return 1 + (1 << (*p - 0xcc));                      /* uint of 1, 2, 4 or 8 bytes */
    fprintf(stderr, "a kind of value that this client does not read: %#x\n", *p);
    exit(1);
}

/* The value of a key, or NULL. */
static const uint8_t *find(const uint8_t *frame, const char *key) {
    const uint8_t *p = frame + 1;
    for (int left = frame[0] & 0x0f; left; left--) {
        const uint8_t *value = p + size_of(p);
        if (size_of(p) == 1 + (int)strlen(key) && !memcmp(p + 1, key, strlen(key))) return value;
        p = value + size_of(value);
    }
    return NULL;
}

int main(int count, char **arguments) {
    const int inputs = count > 1 ? atoi(arguments[1]) : 8, outputs = count > 2 ? atoi(arguments[2]) : 1;
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    uint8_t frame[512], reply[4096];
    float x[MOST], y;
    if (inputs < 1 || inputs > MOST) return fprintf(stderr, "1 to %d inputs\n", MOST), 2;
    if (zmq_connect(socket, "tcp://127.0.0.1:5555")) return perror("connect"), 1;
    for (uint32_t seq = 1; seq <= 10; seq++) {
        for (int i = 0; i < inputs; i++) x[i] = sinf(seq / 9.0f);
        zmq_send(socket, frame, request(frame, "pump-8", seq, x, inputs), 0);
        const int size = zmq_recv(socket, reply, sizeof reply, 0);
        const uint8_t *value, *detail;
        if (size <= 0 || size > (int)sizeof reply) return fprintf(stderr, "no reply\n"), 1;
        if ((detail = find(reply, "detail"))) {
            const int head = *detail == 0xda ? 3 : *detail == 0xd9 ? 2 : 1;
            return fprintf(stderr, "error: %.*s\n", size_of(detail) - head, detail + head), 1;
        }
        if (!(value = find(reply, "y")) || value[0] != 0xc4 || value[1] != 4 * outputs) return fprintf(stderr, "no result\n"), 1;
        printf("%u:", seq);
        for (int i = 0; i < outputs; i++) memcpy(&y, value + 2 + 4 * i, 4), printf(" %g", y);
        puts(find(reply, "duplicate") ? "  (stepped before: the last result again)" : "");
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
