/* load MODE ENDPOINT key=value ...: asks a server for steps, checks what comes back, and prints one line of JSON.

   throughput  `flight` frames unanswered at a time, shared by `clients` sockets, `streams` streams in turn, for `seconds`
               after `warm` seconds, or for so many `messages`; block=N sends blocks of N samples, with seqs unless seqs=0
   pingpong    one frame at a time, `count` of them to each ENDPOINT[,ENDPOINT], `turn` in a row; gap=LOW,HIGH pauses so many
               milliseconds before each
   paced       `rate` frames a second for `seconds`, in a burst each millisecond: the round trip of each is measured

   All: inputs, outputs, prefix (of the ids), seq (the last seq that these streams had; the next run's is printed), raw=PATH
   (round trips in ns as float64, one file for each endpoint: PATH.0, PATH.1).
   Checked: no reply is an error, and all replies together have as many bytes as so many plain results. A result that says
   "duplicate" or "jump" has more, so a wrong seq is found as well. */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "libzmq.h"

enum { ROOM = 1 << 22, ENDPOINTS = 4, BANK = 1 << 16, PATIENCE = 20000, WARM_PINGS = 200 };

static struct {
    long streams, flight, clients, block, seqs, messages, count, turn, inputs, outputs, seq;
    double seconds, warm, rate, gap_low, gap_high;
    const char *prefix, *raw;
} of;

typedef struct { void *socket; long first, sent, answered; } Client;  /* `first`: its first stream; every clients-th is its own */

static uint8_t frame[ROOM], reply[ROOM];
static float bank[BANK];
static size_t prefix_size;
static long errors, bytes_owed;  /* `bytes_owed`: of plain results for what was sent, less those that came */
static char first_error[300];

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* -- msgpack, by hand ---------------------------------------------------------------------------------------------------- */

static uint8_t *put_big(uint8_t *p, uint64_t value, int bytes) {
    while (bytes--) *p++ = value >> 8 * bytes;
    return p;
}

static uint8_t *put_uint(uint8_t *p, uint64_t value) {
    if (value < 128) return put_big(p, value, 1);
    const int bytes = value < 1 << 8 ? 1 : value < 1 << 16 ? 2 : value < 1ULL << 32 ? 4 : 8;
    *p++ = bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf;
    return put_big(p, value, bytes);
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t size) {
    *p++ = 0xa0 | size;
    return (uint8_t *)memcpy(p, text, size) + size;
}
#define PUT_KEY(p, key) put_text(p, key, sizeof key - 1)

static uint8_t *put_id(uint8_t *p, long stream) {
    char digits[20];
    int n = sizeof digits;
    do digits[--n] = '0' + stream % 10; while (stream /= 10);
    *p++ = 0xa0 | (prefix_size + sizeof digits - n);
    p = (uint8_t *)memcpy(p, of.prefix, prefix_size) + prefix_size;
    return (uint8_t *)memcpy(p, digits + n, sizeof digits - n) + sizeof digits - n;
}

static uint8_t *put_array(uint8_t *p, long count) {
    if (count < 16) return put_big(p, 0x90 | count, 1);
    *p++ = 0xdc;
    return put_big(p, count, 2);
}

static int bin_head(size_t size) { return size < 1 << 8 ? 2 : size < 1 << 16 ? 3 : 5; }

static uint8_t *put_x(uint8_t *p, long samples) {
    static size_t at;
    const size_t size = 4 * samples * of.inputs, head = bin_head(size);
    at = (at + 8 * 7) % (BANK / 2);
    *p++ = head == 2 ? 0xc4 : head == 3 ? 0xc5 : 0xc6;
    p = put_big(p, size, head - 1);
    return (uint8_t *)memcpy(p, bank + at, size) + size;
}

/* -- requests and replies ------------------------------------------------------------------------------------------------ */

static void owe(size_t request, long samples) {
    const size_t x = 4 * samples * of.inputs, y = 4 * samples * of.outputs;
    bytes_owed += request - x - bin_head(x) + y + bin_head(y);
}

static long streams_of(void) { return of.streams / of.clients; }

static void ask(Client *client) {
    uint8_t *p = frame;
    const long own = streams_of(), n = of.block ? of.block : 1, sample = client->sent * n;
#define STREAM(i) (client->first + of.clients * ((sample + (i)) % own))
#define SEQ(i) (of.seq + 1 + (sample + (i)) / own)
    if (of.block) {
        *p++ = of.seqs ? 0x83 : 0x82;
        p = put_array(PUT_KEY(p, "streams"), n);
        for (long i = 0; i < n; i++) p = put_id(p, STREAM(i));
        if (of.seqs) {
            p = put_array(PUT_KEY(p, "seqs"), n);
            for (long i = 0; i < n; i++) p = put_uint(p, SEQ(i));
        }
    } else {
        *p++ = 0x83;
        p = put_id(PUT_KEY(p, "stream"), STREAM(0));
        p = put_uint(PUT_KEY(p, "seq"), SEQ(0));
    }
    p = put_x(PUT_KEY(p, "x"), n);
    owe(p - frame, n);
    if (zmq_send(client->socket, frame, p - frame, 0) < 0) die("send");
    client->sent++;
}

static int take(Client *client, int flags) {
    const int size = zmq_recv(client->socket, reply, sizeof reply, flags);
    if (size < 0) {
        if (flags == ZMQ_DONTWAIT && zmq_errno() == EAGAIN) return 0;
        fprintf(stderr, "no reply within %d s to %ld of %ld frames\n", PATIENCE / 1000, client->sent - client->answered, client->sent);
        exit(1);
    }
    if (size < 7 || (reply[0] & 0xf0) != 0x80 || !memcmp(reply + 1, "\xa5" "error", 6)) {
        if (!errors++) {
            for (int i = 0; i < size && i < (int)sizeof first_error - 1; i++) {
                const uint8_t c = reply[i];
                first_error[i] = c >= ' ' && c < 127 && c != '"' && c != '\\' ? c : '.';
            }
        }
    }
    bytes_owed -= size;
    client->answered++;
    return 1;
}

static Client *connect_all(void *context, char **endpoints, long count) {
    Client *clients = calloc(count, sizeof *clients);
    const int patience = PATIENCE;
    for (long k = 0; k < count; k++) {
        clients[k].first = k;
        clients[k].socket = open_socket(context, ZMQ_DEALER);
        zmq_setsockopt(clients[k].socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
        if (zmq_connect(clients[k].socket, endpoints[k])) die(endpoints[k]);
    }
    return clients;
}

static void print_checks(const char *mode) {
    printf("{\"mode\": \"%s\", \"errors\": %ld, \"first_error\": \"%s\", \"bytes_off\": %ld, ", mode, errors, first_error, -bytes_owed);
}

static int up(const void *a, const void *b) {
    const double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static void print_trips(double *trips, long count, int endpoint) {
    if (of.raw) {
        char path[1000];
        snprintf(path, sizeof path, "%s.%d", of.raw, endpoint);
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(trips, sizeof *trips, count, file) != (size_t)count || fclose(file)) perror(path), exit(1);
    }
    qsort(trips, count, sizeof *trips, up);
#define AT(q) trips[(long)ceil((q) * count) - 1] / 1000
    printf("{\"count\": %ld, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f}",
           count, AT(0.5), AT(0.99), AT(0.999), AT(1.0));
}

/* -- modes --------------------------------------------------------------------------------------------------------------- */

static void throughput(void *context, char *endpoint) {
    char **endpoints = malloc(of.clients * sizeof *endpoints);
    for (long k = 0; k < of.clients; k++) endpoints[k] = endpoint;
    Client *clients = connect_all(context, endpoints, of.clients);
    const long quota = of.flight / of.clients, each = of.messages / of.clients, n = of.block ? of.block : 1;
    const long whole = streams_of() % n ? 1 : streams_of() / n;  /* frames in which each stream has its turn */
    const struct timespec a_little = {0, 50000};
    int64_t t = now(), heard = t, began = of.messages ? t : 0, ended = 0, from = INT64_MAX, until = INT64_MAX;
    long replies = 0, before = 0, counted = 0, open = 1;
    while (open) {
        long moved = 0;
        open = 0;
        for (long k = 0; k < of.clients; k++) {
            Client *c = clients + k;
            while (c->answered < c->sent && take(c, ZMQ_DONTWAIT)) replies++, moved++;
            while (c->sent - c->answered < quota && (of.messages ? c->sent < each : t < until || c->sent % whole)) ask(c), moved++;
            open += c->answered < c->sent;
        }
        if (!moved && open) {
            if (of.clients == 1) replies += take(clients, 0);
            else if (now() - heard > PATIENCE * 1000000LL) fprintf(stderr, "no reply within %d s\n", PATIENCE / 1000), exit(1);
            else nanosleep(&a_little, NULL);  /* asking libzmq which of a thousand sockets is ready takes longer */
        }
        t = now();
        if (moved) heard = t;
        if (replies && from == INT64_MAX) from = t + of.warm * 1e9, until = from + of.seconds * 1e9;  /* warm from the first reply on */
        if (!began && t >= from) began = t, before = replies;
        if (!ended && !of.messages && t >= until) ended = t, counted = replies - before;
    }
    if (of.messages) ended = t, counted = replies;
    const double seconds = (ended - began) / 1e9;
    print_checks("throughput");
    printf("\"replies\": %ld, \"seconds\": %.4f, \"frames_s\": %.0f, \"samples_s\": %.0f, \"seq\": %ld}\n",
           counted, seconds, counted / seconds, n * counted / seconds, of.seq + clients[0].sent * n / streams_of());
    for (long k = 0; k < of.clients; k++) zmq_close(clients[k].socket);
    free(clients), free(endpoints);
}

static void pause_for_a_while(void) {
    const double ns = 1e6 * (of.gap_low + (of.gap_high - of.gap_low) * drand48());
    const struct timespec t = {ns / 1e9, fmod(ns, 1e9)};
    nanosleep(&t, NULL);
}

static void pingpong(void *context, char *text) {
    char *endpoints[ENDPOINTS];
    long known = 0;
    for (char *one = strtok(text, ","); one && known < ENDPOINTS; one = strtok(NULL, ",")) endpoints[known++] = one;
    of.streams = of.clients = 1;
    Client *clients = connect_all(context, endpoints, known);
    double *trips[ENDPOINTS];
    for (long e = 0; e < known; e++) {
        trips[e] = malloc(of.count * sizeof(double));
        clients[e].first = 0;
        for (int i = 0; i < WARM_PINGS; i++) ask(clients + e), take(clients + e, 0);
    }
    for (long done = 0; done < of.count; done += of.turn)
        for (long e = 0; e < known; e++)
            for (long i = done; i < done + of.turn && i < of.count; i++) {
                if (of.gap_high > 0) pause_for_a_while();
                const int64_t start = now();
                ask(clients + e), take(clients + e, 0);
                trips[e][i] = now() - start;
            }
    print_checks("pingpong");
    printf("\"seq\": %ld, \"trips\": [", of.seq + clients[0].sent);
    for (long e = 0; e < known; e++) {
        printf("%s", e ? ", " : "");
        print_trips(trips[e], of.count, e);
        free(trips[e]);
        zmq_close(clients[e].socket);
    }
    puts("]}");
    free(clients);
}

static void paced(void *context, char *endpoint) {
    of.clients = 1;
    Client *c = connect_all(context, &endpoint, 1);
    const long all = of.rate * of.seconds, whole = (all + of.streams - 1) / of.streams * of.streams;
    double *trips = malloc(whole * sizeof *trips);
    zmq_pollitem_t item = {c->socket, 0, ZMQ_POLLIN, 0};
    const int64_t start = now();
    int64_t t = start;
    while (c->answered < whole) {
        while (c->answered < c->sent && take(c, ZMQ_DONTWAIT)) trips[c->answered - 1] = now() - trips[c->answered - 1];
        t = now();
        long due = (t - start) / 1000000 * of.rate / 1000;
        if (due > whole) due = whole;
        while (c->sent < due) trips[c->sent] = now(), ask(c);
        if (now() - t < 500000 && zmq_poll(&item, 1, 1) < 0) die("poll");
        if (now() - start > (of.seconds * 4 + 60) * 1e9) fprintf(stderr, "the server cannot keep this pace\n"), exit(1);
    }
    const double seconds = (now() - start) / 1e9;
    print_checks("paced");
    printf("\"seconds\": %.4f, \"frames_s\": %.0f, \"seq\": %ld, \"trips\": [", seconds, whole / seconds, of.seq + whole / of.streams);
    print_trips(trips, whole, 0);
    puts("]}");
    zmq_close(c->socket);
    free(c), free(trips);
}

/* -- the door ------------------------------------------------------------------------------------------------------------ */

static int set(const char *argument) {
    static const struct { const char *key; long *value; } whole[] = {
        {"streams", &of.streams}, {"flight", &of.flight}, {"clients", &of.clients}, {"block", &of.block}, {"seqs", &of.seqs},
        {"messages", &of.messages}, {"count", &of.count}, {"turn", &of.turn}, {"inputs", &of.inputs}, {"outputs", &of.outputs},
        {"seq", &of.seq}};
    static const struct { const char *key; double *value; } real[] = {{"seconds", &of.seconds}, {"warm", &of.warm}, {"rate", &of.rate}};
    const char *value = strchr(argument, '=');
    if (!value) return 0;
    const size_t size = value++ - argument;
#define IS(name) (strlen(name) == size && !memcmp(name, argument, size))
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) if (IS(whole[i].key)) return *whole[i].value = atol(value), 1;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) if (IS(real[i].key)) return *real[i].value = atof(value), 1;
    if (IS("prefix")) return of.prefix = value, 1;
    if (IS("raw")) return of.raw = value, 1;
    if (IS("gap")) return sscanf(value, "%lf,%lf", &of.gap_low, &of.gap_high) == 2;
    return 0;
}

/* Also called in a process that has a context, for inproc. */
int load(void *context, int count, char **arguments) {
    memset(&of, 0, sizeof of);
    of.streams = of.flight = 1000, of.clients = of.seqs = of.outputs = of.turn = 1, of.inputs = 8, of.count = 10000;
    of.seconds = 1, of.warm = 0.2, of.rate = 10000, of.prefix = "s";
    errors = bytes_owed = 0, first_error[0] = 0;
    for (int i = 3; i < count; i++) if (!set(arguments[i])) return fprintf(stderr, "what is %s?\n", arguments[i]), 2;
    const char *mode = count > 2 ? arguments[1] : "";
    if (of.clients > of.streams || of.streams % of.clients || of.flight < of.clients || of.block * of.inputs > BANK / 2)
        return fprintf(stderr, "streams must be a multiple of clients, flight at least as many, a block at most %d numbers\n", BANK / 2), 2;
    prefix_size = strlen(of.prefix);
    srand48(1);
    for (int i = 0; i < BANK; i++) bank[i] = 2 * drand48() - 1;
    if (!strcmp(mode, "throughput")) throughput(context, arguments[2]);
    else if (!strcmp(mode, "pingpong")) pingpong(context, arguments[2]);
    else if (!strcmp(mode, "paced")) paced(context, arguments[2]);
    else return fprintf(stderr, "usage: load throughput|pingpong|paced ENDPOINT key=value ...\n"), 2;
    fflush(stdout);
    return 0;
}

int main(int count, char **arguments) {
    raise_file_limit();
    void *context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 20000);
    const int status = load(context, count, arguments);
    zmq_ctx_term(context);
    return status;
}
