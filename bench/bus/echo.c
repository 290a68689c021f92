/* echo ENDPOINT [CUT]: what a server that does no work at all can reach. Frames go back as they came, less their last CUT
   bytes, so that a reply is as long as the server's own (a sample has 8 inputs, its result 1 output: CUT is 28). */
#include "libzmq.h"

enum { ROOM = 1 << 22 };

int main(int count, char **arguments) {
    static char peer[256], frame[ROOM];
    if (count < 2) return fprintf(stderr, "usage: echo ENDPOINT [CUT]\n"), 2;
    const int cut = count > 2 ? atoi(arguments[2]) : 0;
    raise_file_limit();
    void *socket = open_socket(zmq_ctx_new(), ZMQ_ROUTER);
    if (zmq_bind(socket, arguments[1])) die(arguments[1]);
    puts("ready");
    fflush(stdout);
    for (;;) {
        const int name = zmq_recv(socket, peer, sizeof peer, 0);
        const int size = zmq_recv(socket, frame, sizeof frame, 0);
        if (name < 0 || size < 0) die("recv");
        zmq_send(socket, peer, name, ZMQ_SNDMORE);
        zmq_send(socket, frame, size > cut ? size - cut : size, 0);
    }
}
