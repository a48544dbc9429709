#pragma once

namespace insomnia::cell {

/// `insomnia cell-init`, started by the brain: makes a cell, runs the Pod's hands in it and changes its view when scope is lent or comes back.
/// `hands`: the hands' end of their socket; `control`, the next descriptor: speaks the protocol of init_protocol.hh. As many descriptors as `locks`
/// says follow and are kept open until everything in the cell has ended: the Pod's locks. Everything in the cell ends with the hands, with the control socket, and with either of the
/// two processes that this one becomes: the outer one, whose end tells that all is over, and the first one of the cell. SIGTERM to the outer one ends it at once. Returns the exit code: that of the hands, 128 + N when signal N ended them, 125 when there is no cell.
/// REQUIRES: one thread.
int cell_init_main(int hands, int control, int locks);

}  // namespace insomnia::cell
