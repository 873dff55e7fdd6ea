//! Captures made packet by packet, for what the samples do not show.

/// A classic capture over raw IP.
pub(crate) struct Forge {
    bytes: Vec<u8>,
    seconds: u32,
}

const RAW_IP: u32 = 101;

impl Forge {
    pub(crate) fn new() -> Self {
        let mut bytes = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(65_535_u32.to_le_bytes());
        bytes.extend(RAW_IP.to_le_bytes());
        Self {
            bytes,
            seconds: 1_700_000_000,
        }
    }

    pub(crate) fn wait(&mut self, seconds: u32) {
        self.seconds += seconds;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn ip(&mut self, protocol: u8, ends: ([u8; 4], [u8; 4]), content: &[u8]) {
        let length = 20 + content.len() as u32;
        let mut packet = vec![0x45, 0];
        packet.extend((length as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
        packet.extend(ends.0);
        packet.extend(ends.1);
        packet.extend(content);
        self.bytes.extend(self.seconds.to_le_bytes());
        self.bytes.extend(0_u32.to_le_bytes());
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(packet);
    }

    /// A segment; flags as in the header: 1 FIN, 2 SYN, 4 RST, 16 ACK.
    pub(crate) fn tcp(
        &mut self,
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        flags: u8,
        sequence: u32,
        payload: &[u8],
    ) {
        let mut segment = from.1.to_be_bytes().to_vec();
        segment.extend(to.1.to_be_bytes());
        segment.extend(sequence.to_be_bytes());
        segment.extend([0, 0, 0, 0, 0x50, flags, 0x10, 0, 0, 0, 0, 0]);
        segment.extend(payload);
        self.ip(6, (from.0, to.0), &segment);
    }

    pub(crate) fn udp(&mut self, from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) {
        let mut datagram = from.1.to_be_bytes().to_vec();
        datagram.extend(to.1.to_be_bytes());
        datagram.extend((8 + payload.len() as u16).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(payload);
        self.ip(17, (from.0, to.0), &datagram);
    }

    /// A connection in which the two sides say this, in turns; `true` is the client.
    pub(crate) fn talk(&mut self, client: ([u8; 4], u16), server: ([u8; 4], u16), said: &[(bool, &[u8])]) {
        let mut next = [1001_u32, 2001_u32];
        self.tcp(client, server, 2, 1000, b"");
        self.tcp(server, client, 18, 2000, b"");
        self.tcp(client, server, 16, 1001, b"");
        for (by_client, text) in said {
            let (from, to, side) = if *by_client {
                (client, server, 0)
            } else {
                (server, client, 1)
            };
            self.tcp(from, to, 24, next[side], text);
            next[side] += text.len() as u32;
        }
        self.tcp(client, server, 17, next[0], b"");
    }
}
