import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashSync } from '@node-rs/argon2';
import { readHash } from './foreign-hashes.ts';

/** Of the password `password`; made by libxcrypt, passlib, Python's hashlib, and the reference code of argon2. */
const hashes = {
  'bcrypt 2b': '$2b$05$CCCCCCCCCCCCCCCCCCCCC.aDV7CQarKHMuNfh2oJkFzsHZya4whFe',
  'bcrypt 2y': '$2y$05$CCCCCCCCCCCCCCCCCCCCC.aDV7CQarKHMuNfh2oJkFzsHZya4whFe',
  'bcrypt 2a': '$2a$05$CCCCCCCCCCCCCCCCCCCCC.aDV7CQarKHMuNfh2oJkFzsHZya4whFe',
  'scrypt, PHC': '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E',
  'scrypt, Werkzeug':
    'scrypt:32768:8:1$seasalt$8901c14416ecc147a14d315612a9340480408236610eba7df40ec36c37c5c55d9582f128a29a9a39183c503f89603fcc77c486e1f8c43e96bf85f85382cb7198',
  'PBKDF2, passlib': '$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M',
  'PBKDF2, PHC': '$pbkdf2-sha256$i=6400,l=32$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M',
  'PBKDF2 of SHA-512, passlib':
    '$pbkdf2-sha512$25000$YSBzYWx0IG9mIHNpeHRlZW4$H62./EpHv32wZdnZrZsmsK2ks7u7qHPLDtfMtspftbguUkRcIa22LYFPwbLBuIc54Dq8NJKXe/rX6NnS1vsa0g',
  'PBKDF2, Django': 'pbkdf2_sha256$1000$seasalt$YIWkt6M1JFXrHg5s0jZjBSc7C2Cz6QvchSJ0h8Y+i7c=',
  'PBKDF2, Werkzeug': 'pbkdf2:sha256:1000$seasalt$6085a4b7a3352455eb1e0e6cd2366305273b0b60b3e90bdc85227487c63e8bb7',
  argon2id: '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
  argon2i: hashSync('password', { algorithm: 1, memoryCost: 4_096 }),
};

describe('hashes from elsewhere', () => {
  for (const [name, hash] of Object.entries(hashes)) {
    it(`${name} is told from another`, () => {
      const check = readHash(hash);
      assert.equal(check('password'), true);
      assert.equal(check('Password'), false);
      assert.equal(check(''), false);
    });
  }

  it('are refused where they are of no known form, or of a cost that would stop everybody else', () => {
    for (const hash of [
      '',
      'password',
      '5f4dcc3b5aa765d61d8327deb882cf99',
      '$1$O3JMY.Tw$AdLnLjQ/5jXF9.MTp3gHv/',
      '$2b$05$short',
      `${hashes['PBKDF2, Django']}\n`,
      hashes.argon2id.replace('$v=19', '$v=19$v=19'),
    ])
      assert.throws(() => readHash(hash), /no hash that can be read/, hash);
    for (const hash of [
      hashes['bcrypt 2b'].replace('$05$', '$15$'),
      hashes['bcrypt 2b'].replace('$05$', '$03$'),
      hashes['scrypt, PHC'].replace('ln=16', 'ln=30'),
      hashes['scrypt, PHC'].replace('r=8', 'r=0'),
      hashes['scrypt, PHC'].replace('p=1', 'p=99'),
      hashes['scrypt, Werkzeug'].replace('32768', '32767'),
      hashes['PBKDF2, Django'].replace('$1000$', '$9000000$'),
      hashes['PBKDF2, Django'].replace('$1000$', '$0$'),
      hashes.argon2id.replace('m=65536', 'm=9999999'),
      hashes.argon2id.replace('t=2', 't=99'),
    ])
      assert.throws(() => readHash(hash), /cost is out of bounds/, hash);
  });
});
